"""Makes user ids into what the userid column holds."""

from __future__ import annotations

from typing import Any

from ..errors import PayloadNotSerializable, PayloadTooLarge, UserIDError
from .quoting import text_literal

_LIMIT = 255


def userid_text(userid: Any) -> str:
    """
    Return the text that names a user in the table.

    :param userid: text or a whole number; 5 and ``'5'`` are the same user.
    :raises pyramid_mysql_session.UserIDError: it is of another type.
    :raises pyramid_mysql_session.PayloadTooLarge: it is too long.
    """
    # a subclass may print itself otherwise, and what is loaded is none
    if isinstance(userid, str):
        text = str.__str__(userid)
        size = len(text)
    elif isinstance(userid, int) and not isinstance(userid, bool):
        # Python writes no number of thousands of digits
        size = userid.bit_length() * 3 // 10
        text = '' if size > _LIMIT else int.__repr__(userid)
        size = max(size, len(text))
    else:
        raise UserIDError(userid)
    if size > _LIMIT:
        raise PayloadTooLarge(
            'The user id in characters',
            size,
            _LIMIT,
            'Name another key with mysql_session.userid_key.',
        )
    return text


def userid_literal(userid: Any) -> str:
    """
    Return SQL for a user id.

    :raises pyramid_mysql_session.PayloadNotSerializable: it is no UTF-8; and
        what :func:`userid_text` raises.
    """
    try:
        return text_literal(userid_text(userid))
    except UnicodeEncodeError as exc:
        raise PayloadNotSerializable(
            'the user id', 'has a lone surrogate, which is no UTF-8'
        ) from exc
