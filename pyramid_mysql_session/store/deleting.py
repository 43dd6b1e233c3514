"""Deletes many rows, though somebody else may refuse some of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..connection.driver import Connection, DriverError, refuses_rows
from .statements import KEYS_AT_ONCE, Statements


def delete_rows(
    connection: Connection,
    statements: Statements,
    keys: Sequence[bytes],
    condition: str,
) -> tuple[int, list[bytes]]:
    """
    Delete those of some rows that meet a condition.

    A foreign key or a trigger of somebody else's that refuses one row does
    not keep the others, nor does a limit to what is deleted at once.

    :returns: how many were deleted, and the keys of those that cannot be.
    """
    deleted = 0
    kept: list[bytes] = []
    waiting = [
        keys[at : at + KEYS_AT_ONCE]
        for at in range(0, len(keys), KEYS_AT_ONCE)
    ]
    while waiting:
        some = waiting.pop()
        try:
            deleted += connection.execute(
                statements.delete_keys(some, condition)
            )
        except DriverError as exc:
            if not refuses_rows(exc, connection.phase):
                raise
            # none of them was deleted
            if len(some) > 1:
                half = len(some) // 2
                waiting += [some[:half], some[half:]]
            else:
                kept += some
    return deleted, kept
