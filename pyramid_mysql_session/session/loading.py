"""Loads the record of a session into a draft."""

from __future__ import annotations

from .draft import Data, Draft
from .kit import SessionKit
from .standing import Standing, Status
from .timing import due


def load(
    kit: SessionKit, draft: Draft, session_id: str, status: Status | None
) -> tuple[Standing, Data | None, str | None]:
    """
    Load a session.

    :param status: what it has instead of being live or new.
    :returns: what is known of the record, its data, and why there is none.
    """
    record = kit.store.load(session_id)
    if record is None:
        renewed = kit.store.is_renewed(session_id)
        reason = 'renewed' if renewed else 'unknown'
    elif not record.alive:
        reason = 'expired'
    else:
        try:
            data = draft.decode(record.payload)
        except ValueError:
            reason = 'undecodable'
        else:
            standing = Standing(
                status or Status.LIVE,
                session_id,
                record.revision,
                record.created,
                new=False,
                due=due(kit, draft, data, record),
            )
            return standing, data, None
    # an id that was not found is never used again
    return Standing(status or Status.NEW), None, reason
