"""What must hold for every page of the shop."""

from __future__ import annotations

import functools

#: On a desk and in a hand.
WIDTHS = {'desktop': (1280, 800), 'phone': (360, 740)}
#: Tags of axe's rules, and rules: by night, nothing but colours differ.
SCHEMES = {
    'light': [
        'wcag2a',
        'wcag2aa',
        'wcag21a',
        'wcag21aa',
        'wcag22aa',
        'best-practice',
    ],
    'dark': ['color-contrast', 'link-in-text-block'],
}

# keeps, of each element that Tab should reach, what it looks like without
# the focus; of radio buttons of one name, Tab reaches one
REMEMBER = """() => {
  // what Tab goes on from
  document.body.tabIndex = -1
  document.body.focus()
  document.body.removeAttribute('tabindex')
  const look = element => {
    const style = getComputedStyle(element)
    return [style.outline, style.boxShadow].join()
  }
  const reached = element => {
    if (!element.checkVisibility() || element.disabled) return false
    if (element.type !== 'radio') return true
    const all = [...document.getElementsByName(element.name)]
    return element === (all.find(radio => radio.checked) ?? all[0])
  }
  const all = 'a[href], button, input:not([type=hidden]), select, textarea,'
    + 'summary, [tabindex]:not([tabindex^="-"])'
  window.stops = [...document.querySelectorAll(all)].filter(reached)
    .map(element => ({element, before: look(element), look}))
  return window.stops.map(
    ({element}) => element.outerHTML.replaceAll(/\\s+/g, ' ').slice(0, 90))
}"""

# tells where the focus is, and what a user who looks for it would miss
FOCUS = """() => {
  const element = document.activeElement
  const number = window.stops.findIndex(stop => stop.element === element)
  if (number < 0) return {number, missed: []}
  const {before, look} = window.stops[number]
  const last = window.stops[number - 1]?.element.getBoundingClientRect()
  // of a link of several lines, the first
  const [box] = element.getClientRects()
  const seen = document.elementFromPoint(
    Math.min(box.left + box.width / 2, innerWidth - 1),
    Math.min(box.top + Math.min(box.height, innerHeight) / 2, innerHeight - 1))
  const missed = []
  if (look(element) === before) missed.push('looks as it does without focus')
  if (!element.contains(seen) && !element.labels?.[0]?.contains(seen))
    missed.push('is out of sight, or under something else')
  if (last && box.bottom <= last.top)
    missed.push('stands above what Tab reached before')
  return {number, missed}
}"""


@functools.cache
def axe():
    from axe_playwright_python.base import AXE_FILE_PATH

    return AXE_FILE_PATH.read_text('UTF-8')


def axe_faults(page, rules):
    """Return what these rules of axe find, as the page looks now."""
    if not page.evaluate('"axe" in window'):
        page.evaluate(axe())
    options = {'runOnly': rules, 'resultTypes': ['violations']}
    found = page.evaluate('options => axe.run(document, options)', options)
    return [
        f'{fault["id"]}: {node["html"]} {node["failureSummary"]}'
        for fault in found['violations']
        for node in fault['nodes']
    ]


def faults(page):
    """Return what is wrong with the page, in any size and colour."""
    return [f'{page.url} {fault}' for fault in _faults(page)]


def _faults(page):
    for width, (x, y) in WIDTHS.items():
        page.set_viewport_size({'width': x, 'height': y})
        if page.evaluate('document.documentElement.scrollWidth') > x:
            yield f'({width}) scrolls sideways'
        for fault in _tab_through(page):
            yield f'({width}): {fault}'
        for scheme, rules in SCHEMES.items():
            page.emulate_media(color_scheme=scheme)
            for fault in axe_faults(page, rules):
                yield f'({width}, {scheme}): {fault}'


def _tab_through(page):
    """Tell what Tab misses on the page, or reaches in another order."""
    stops = page.evaluate(REMEMBER)
    reached = []
    for _ in stops:
        page.keyboard.press('Tab')
        focus = page.evaluate(FOCUS)
        reached.append(focus['number'])
        for miss in focus['missed']:
            yield f'{stops[reached[-1]]} {miss}'
    if reached != list(range(len(stops))):
        yield f'Tab goes in the order {reached} through {stops}'


def links(page):
    """
    Return the paths of this site to which the page links.

    Whatever else the address says, it is the same page.
    """
    return page.evaluate(
        """() => [...document.querySelectorAll('a[href]')]
          .filter(link => link.origin === location.origin)
          .map(link => link.pathname)"""
    )


def crawl(tab):
    """Go to each page that links lead to, and yield its path."""
    seen, ahead = set(), ['/']
    while ahead:
        path = ahead.pop(0)
        if path in seen:
            continue
        seen.add(path)
        assert tab.go(path) == 200, path
        yield path
        ahead += links(tab.page)
