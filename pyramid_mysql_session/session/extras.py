"""What a payload holds besides the application's data."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import PayloadNotSerializable
from .merge import POPPED_KEY
from .serializers import Payload, load

Data = dict[str, Any]

#: The session's own idle time-out is stored under this key of the payload.
IDLE_TIMEOUT_KEY = '_idle_timeout_'
#: How old the session was when its user was confirmed, and who that was.
CONFIRMED_KEY = '_confirmed_'
#: The user id, where the application has it somewhere else.
USERID_KEY = '_userid_'
#: Says that nobody can tell the user id any more: it stays as it is.
UNKNOWN: Any = object()

# in the order of Extras
_RESERVED = {
    IDLE_TIMEOUT_KEY: 'is a key that remember() uses',
    POPPED_KEY: 'is a key that pop_flash() uses',
    CONFIRMED_KEY: 'is a key that confirm() uses',
    USERID_KEY: 'is a key that mysql_session.userid uses',
}


class Extras(NamedTuple):
    """What is stored besides the application's data."""

    idle_timeout: int | None = None
    #: How many messages were popped so far of each flash queue.
    popped: dict[str, int] | None = None
    #: Seconds since the session's creation, and the user: ``17:ada``.
    confirmed: str | None = None
    userid: Any = None

    def with_confirmation(self, age: int, userid: Any) -> Extras:
        """Note that a user was confirmed when the session was so old."""
        return self._replace(confirmed=f'{age}{_mark(userid)}')

    def confirmed_at(self, userid: Any) -> int | None:
        """Return how old it was when this user was confirmed, if they were."""
        # whoever has written it to the table
        age, colon, user = str(self.confirmed).partition(':')
        if not age.isdecimal() or colon + user != _mark(userid):
            return None
        return int(age)

    def without_others(self, userid: Any) -> Extras:
        """Forget a confirmation of anybody but this user."""
        if self.confirmed is None or self.confirmed_at(userid) is not None:
            return self
        return self._replace(confirmed=None)


#: What most sessions have.
NO_EXTRAS = Extras()


def with_extras(data: Data, extras: Extras) -> Data:
    """Return data as it goes into the payload."""
    if extras == NO_EXTRAS:
        return data
    values = zip(_RESERVED, extras, strict=True)
    added = {key: each for key, each in values if each is not None}
    return {**data, **added}


def take_extras(data: Data) -> Extras:
    """Take the extras out of what a payload holds."""
    if _RESERVED.keys().isdisjoint(data):
        return NO_EXTRAS
    return Extras(*(data.pop(key, None) for key in _RESERVED))


def plain_data(serializer: Any, payload: Payload) -> Data:
    """
    Return the application's data of a payload.

    :raises ValueError: the payload is malformed.
    """
    data = load(serializer, payload)
    take_extras(data)
    return data


def refuse_reserved(data: Data) -> None:
    """
    See that an application uses none of our keys.

    :raises pyramid_mysql_session.PayloadNotSerializable: it does.
    """
    if _RESERVED.keys().isdisjoint(data):
        return
    for key, problem in _RESERVED.items():
        if key in data:
            raise PayloadNotSerializable(key, problem)


def _mark(userid: Any) -> str:
    return '' if userid is None else f':{userid}'
