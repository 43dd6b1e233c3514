"""Numbers that tell which of two records is newer, and whether a save is done.

A revision has 64 bits. The upper 16 count the saves of the row, compared as
the serial numbers of RFC 1982, for they wrap; below them are the marks of the
last three saves, 16 random bits each, the latest in the low bits. So who lost
the answer to a save, and then finds that others have saved since, can still
tell whether his own was among them. (Pure functions.)
"""

from __future__ import annotations

import secrets

_STEP = 16
_MARKS = 3
_MASK = (1 << _STEP * _MARKS) - 1
_COUNTS = 1 << _STEP


def first() -> int:
    """Return the revision of a new record."""
    return secrets.randbits(_STEP * _MARKS)


def following(revision: int) -> int:
    """Return a revision for the save that replaces the given one."""
    count = (_count(revision) + 1) % _COUNTS
    marks = (revision << _STEP | secrets.randbits(_STEP)) & _MASK
    return count << _STEP * _MARKS | marks


def precedes(one: int, other: int) -> bool:
    """Tell whether a revision has been replaced by the time of another."""
    return 0 < (_count(other) - _count(one)) % _COUNTS < _COUNTS // 2


def was_written(attempted: int, stored: int) -> bool | None:
    """
    Tell whether a save whose answer was lost had been executed.

    :param attempted: the revision of that save.
    :param stored: the revision that is there now.
    :returns: ``None`` when it cannot be told: so many others saved since, or
        what is there is older than what the save should have replaced.
    """
    others = (_count(stored) - _count(attempted)) % _COUNTS
    if others == _COUNTS - 1:
        # what it should have replaced, or another save of the same count
        return False
    if others >= _MARKS:
        return None
    shift = _STEP * others
    return (stored & _MASK) >> shift == (attempted & _MASK) & (_MASK >> shift)


def _count(revision: int) -> int:
    return revision >> _STEP * _MARKS
