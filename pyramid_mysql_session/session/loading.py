"""Loads the record of a session into a draft."""

from __future__ import annotations

import time
from typing import Any

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
    record, renewed = kit.store.load(session_id), False
    if record is None:
        # a server that lags may not have it yet, or under an older id
        young = kit.is_young(session_id)
        if young:
            time.sleep(kit.second_look)
        renewed = kit.store.is_renewed(session_id)
        if renewed:
            if not young:
                time.sleep(kit.second_look)
            record = kit.store.load(session_id)
    if record is None:
        reason = 'renewed' if renewed else 'unknown'
    elif not record.alive:
        reason = 'expired'
    else:
        taken = take_in(kit, draft, session_id, record, status)
        if taken is not None:
            return *taken, None
        reason = 'undecodable'
    # an id that was not found is never used again
    return Standing(status or Status.NEW), None, reason


def take_in(
    kit: SessionKit,
    draft: Draft,
    session_id: str,
    record: Any,
    status: Status | None = None,
) -> tuple[Standing, Data] | None:
    """
    Begin with a record that lives.

    :param status: as above.
    :returns: what is known of it, and its data; ``None`` if nobody can read
        it.
    """
    try:
        payload, current = kit.seal.open(record.payload, session_id)
        data = draft.decode(payload)
    except ValueError:
        return None
    standing = Standing(
        status or Status.LIVE,
        session_id,
        record.revision,
        record.created,
        record.now - time.monotonic(),
        not current,
        new=False,
        due=due(kit, draft, data, record),
    )
    return standing, data
