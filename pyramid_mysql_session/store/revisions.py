"""Numbers that tell what became of a save (pure functions).

A revision has 64 bits: the last four saves of the row, 16 random bits each,
the latest in the low bits. So who lost the answer to a save and then finds
that others have saved since can still tell whether his own was among them.
"""

from __future__ import annotations

import secrets

_STEP = 16
_SAVES = 4
_MASK = (1 << _STEP * _SAVES) - 1


def first() -> int:
    """Return the revision of a new record."""
    return secrets.randbits(_STEP * _SAVES)


def following(revision: int) -> int:
    """Return a revision for the save that replaces the given one."""
    return (revision << _STEP | secrets.randbits(_STEP)) & _MASK


def was_written(attempted: int, loaded: int, stored: int) -> bool | None:
    """
    Tell whether a save whose answer was lost had been executed.

    :param attempted: the revision of that save.
    :param loaded: the revision that it should have replaced.
    :param stored: the revision that is there now.
    :returns: ``None`` when so many others saved that it cannot be told.
    """
    if stored == loaded:
        return False
    for others in range(_SAVES):
        if _is_ancestor(attempted, stored, others):
            return True
    for others in range(1, _SAVES):
        if _is_ancestor(loaded, stored, others):
            return False
    return None


def _is_ancestor(revision: int, stored: int, saves: int) -> bool:
    shift = _STEP * saves
    return stored >> shift == revision & (_MASK >> shift)
