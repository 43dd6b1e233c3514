"""
Draw docs/diagrams/*.svg, sequences of messages, from the texts beside them.

Run it after each change of them: ``python docs/make_diagrams.py``. A text has
a title, the names of those who take part, and a line for each message,
``from -> to: words``, for each answer, ``from --> to: words``, and for what
somebody does alone, ``who: words``.
"""

import re
from html import escape
from pathlib import Path

FOLDER = Path(__file__).with_name('diagrams')
# pixels: between two lifelines, between two lines of text, of a letter
ACROSS, DOWN, LETTER = 180, 34, 6.8
TOP, SIDE = 56, 90
# of the page that holds it, or of the browser
BACKGROUND = 'var(--color-background-primary, Canvas)'
LINE = re.compile(r'(.+?)(?: (-->|->) (.+?))?: (.+)')
# where the picture stands alone; in a page it has the colour of the text
STYLE = """\
<style>
svg { color-scheme: light dark; color: #1f2328 }
@media (prefers-color-scheme: dark) { svg { color: #d1d7e0 } }
</style>"""
ARROW = """\
<marker id="{name}-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"
 markerHeight="8" orient="auto-start-reverse">
<path d="M0 0 8 4 0 8z" fill="currentColor"/></marker>"""


def draw(name: str, text: str) -> str:
    """Return the picture of a text."""
    title, parties, *lines = filter(None, text.splitlines())
    places = {
        party.strip(): SIDE + ACROSS * number
        for number, party in enumerate(parties.split('|'))
    }
    width = 2 * SIDE + ACROSS * (len(places) - 1)
    height = TOP + DOWN * len(lines) + 16
    steps = [LINE.fullmatch(line).groups() for line in lines]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{name}-title {name}-said" font-size="12" '
        'font-family="system-ui, sans-serif" fill="currentColor">',
        STYLE,
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-said">{escape(say(steps))}</desc>',
        ARROW.format(name=name),
    ]
    for party, x in places.items():
        parts += [
            f'<path d="M{x} 34V{height}" stroke="currentColor" '
            'stroke-opacity=".35"/>',
            box(x, 20, party, bold=True),
        ]
    for number, (sender, arrow, receiver, words) in enumerate(steps):
        y = TOP + DOWN * number + 20
        if arrow:
            parts += message(
                name, places[sender], places[receiver], y, arrow, words
            )
        else:
            parts.append(box(places[sender], y - 8, words))
    return '\n'.join([*parts, '</svg>\n'])


def message(name, start, end, y, arrow, words):
    """Yield a line with a tip, and the words above it."""
    dashes = ' stroke-dasharray="5 4"' if arrow == '-->' else ''
    yield (
        f'<path d="M{start} {y}H{end}" stroke="currentColor"{dashes} '
        f'marker-end="url(#{name}-tip)"/>'
    )
    yield (
        f'<text x="{(start + end) / 2:g}" y="{y - 6}" '
        f'text-anchor="middle" stroke="{BACKGROUND}" stroke-width="4" '
        f'paint-order="stroke">{escape(words)}</text>'
    )


def box(x, y, words, bold=False):
    """Return words in a frame, in the middle of a lifeline."""
    width = round(len(words) * LETTER) + 20
    weight = ' font-weight="bold"' if bold else ''
    return (
        # what is behind it must not shine through
        f'<rect x="{x - width / 2:g}" y="{y - 13}" width="{width}" '
        f'height="26" rx="4" stroke="currentColor" fill="{BACKGROUND}"/>\n'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle"{weight}>'
        f'{escape(words)}</text>'
    )


def say(steps):
    """Return the same in words, for who does not see it."""
    return ' '.join(
        f'{sender} to {receiver}: {words}.'
        if receiver
        else f'{sender}: {words}.'
        for sender, _, receiver, words in steps
    )


def pictures() -> dict[Path, str]:
    """Return what is to be in each file."""
    return {
        path.with_suffix('.svg'): draw(path.stem, path.read_text('utf-8'))
        for path in sorted(FOLDER.glob('*.txt'))
    }


if __name__ == '__main__':
    for path, picture in pictures().items():
        path.write_text(picture, encoding='utf-8')
