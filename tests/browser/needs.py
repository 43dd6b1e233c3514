"""What the tests of browsers need of the machine, and what it lacks."""

from __future__ import annotations

import importlib.util
import shutil

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')

#: What there is, by the name by which it is missed.
FOUND = {
    'Chromium': CHROMIUM,
    'playwright': importlib.util.find_spec('playwright'),
    'axe-playwright-python': importlib.util.find_spec('axe_playwright_python'),
}
MISSING = [name for name, found in FOUND.items() if not found]
ADVICE = (
    "Debian has the browser in chromium; the extra 'browser' of this package "
    'has the rest'
)
