"""
The demo shop as browsers see it: Debian's Chromium, driven by Playwright.

Each kind of server has a shop of its own, in a process of its own. Pictures of
it for the manual are made anew, from this clone, by::

    EXTRA=browser sh tests/run.sh tests/browser -k "picture and mariadb" \\
        --screenshots docs/_static
"""
