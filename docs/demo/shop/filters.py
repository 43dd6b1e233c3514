"""How the templates write amounts and moments."""

from datetime import datetime, timezone


def money(cents: int) -> str:
    return f'€{cents / 100:.2f}'


def moment(seconds: int) -> str:
    """Write a unix second as date and time in UTC."""
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return f'{when:%Y-%m-%d %H:%M:%S} UTC'
