"""How the templates write amounts, moments and spans of time."""

from datetime import datetime, timezone


def money(cents: int) -> str:
    return f'€{cents / 100:.2f}'


def moment(seconds: int) -> str:
    """Write a unix second as date and time in UTC."""
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return f'{when:%Y-%m-%d %H:%M:%S} UTC'


def span(seconds: int) -> str:
    """Write how long something lasts, in its two largest units."""
    parts = []
    for name, size in (('day', 86400), ('hour', 3600), ('minute', 60)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f'{number} {name}{"s" * (number != 1)}')
    return ' '.join(parts[:2]) or 'less than a minute'
