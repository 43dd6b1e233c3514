"""Implements ISession: a dict that is loaded on first use."""

from __future__ import annotations

import copy
import secrets
from collections.abc import (
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from contextlib import AbstractContextManager
from typing import Any

from pyramid.interfaces import ISession
from zope.interface import implementer

from .merge import FLASH_PREFIX
from .messages import pack, unpack
from .saving import Saving

_MISSING: Any = object()
#: Pyramid keeps its CSRF token under this key.
CSRF_KEY = '_csrft_'


@implementer(ISession)
class MySQLSession(MutableMapping[str, Any]):
    """
    The session of one request.

    It is a mapping with the methods of a ``dict``. Every change is noticed,
    nested ones too, and saved when the response is ready. Which keys and
    values are possible is up to the serializer.

    Other than a ``dict`` it is no instance of ``dict``: where one is asked
    for, by ``json.dumps`` or ``pickle`` for instance, pass
    ``dict(session)``. Copies of it are dicts; renderers of Pyramid take it as
    it is. Its order of keys is that of the serializer, and its ``repr`` shows
    no data.
    """

    __slots__ = ('__weakref__', '_draft', '_saving')

    def __init__(self, saving: Saving) -> None:
        self._saving = saving
        self._draft = saving.draft

    def __getitem__(self, key: str) -> Any:
        self._load()
        return self._draft.hand_out(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._load()
        self._draft.put_in(key, value)

    def __delitem__(self, key: str) -> None:
        data = self._load()
        self._draft.forget_queue(key)
        del data[key]
        self._draft.write()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def __contains__(self, key: object) -> bool:
        return key in self._load()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MySQLSession):
            other = other._load()
        return self._load() == other

    # equal sessions may become unequal
    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return self.copy() | dict(other)

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return dict(other) | self.copy()

    def __ior__(self, other: Any) -> MySQLSession:  # type: ignore[misc]
        self.update(other)
        return self

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(self.copy(), memo)

    def __reduce__(self) -> Any:
        raise TypeError('a session cannot be pickled: pickle dict(session)')

    def __json__(self, request: Any) -> dict[str, Any]:
        return self.copy()

    def get(self, key: str, default: Any = None) -> Any:
        return self._draft.hand_out(key) if key in self._load() else default

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        # nobody has it with the session any more: it is not handed out
        data = self._load()
        if key not in data and default is not _MISSING:
            return default
        value = data.pop(key)
        self._draft.forget_queue(key)
        self._draft.write()
        return value

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._load())

    def popitem(self) -> tuple[str, Any]:
        data = self._load()
        if data:
            self._draft.forget_queue(next(reversed(data)))
        item = data.popitem()
        self._draft.write()
        return item

    def keys(self) -> KeysView[str]:
        return self._share_all().keys()

    def values(self) -> ValuesView[Any]:
        return self._share_all().values()

    def items(self) -> ItemsView[str, Any]:
        return self._share_all().items()

    def copy(self) -> dict[str, Any]:
        """Return a shallow copy of the data."""
        return self._share_all().copy()

    def clear(self) -> None:
        """
        Remove all data; a session that stays empty loses record and cookie.

        For a log-out call :meth:`invalidate`, which gives up the id, too.
        """
        data = self._load()
        for key in data:
            self._draft.forget_queue(key)
        data.clear()
        self._draft.write()

    def flash(
        self, msg: Any, queue: str = '', allow_duplicate: bool = True
    ) -> None:
        """
        Append a message to a flash queue.

        A ``TranslationString`` of ``pyramid.i18n``, also in a dict or list,
        comes back as one, with domain, default, mapping and context.

        :param allow_duplicate: ``False`` drops a message that is there.
        """
        storage = self.setdefault(FLASH_PREFIX + queue, [])
        message = pack(msg)
        if allow_duplicate or message not in storage:
            storage.append(message)

    def pop_flash(self, queue: str = '') -> list[Any]:
        """Remove a flash queue and return its messages."""
        messages: list[Any] = unpack(self.pop(FLASH_PREFIX + queue, []))
        return messages

    def peek_flash(self, queue: str = '') -> list[Any]:
        """Return the messages of a flash queue, which stay in it."""
        messages: list[Any] = unpack(self.get(FLASH_PREFIX + queue, []))
        return messages

    def new_csrf_token(self) -> str:
        """Store and return a new token against request forgery."""
        token = secrets.token_hex(20)
        self[CSRF_KEY] = token
        return token

    def get_csrf_token(self) -> str:
        """Return the token against request forgery, a new one if needed."""
        token: str | None = self.get(CSRF_KEY)
        return self.new_csrf_token() if token is None else token

    @property
    def session_id(self) -> str | None:
        """
        The id under which the session is stored, ``None`` if it is not.

        Before the session is used it is that of the cookie, whose session may
        have ended. It is the visitor's: whoever has it, signed, has the
        session.
        """
        return self._saving.session_id

    @property
    def handle(self) -> str | None:
        """
        A name of the session that stays when the id is renewed.

        It opens nothing, and may be shown and logged: 32 hexadecimal digits;
        ``None`` as long as the session has no record.
        """
        return self._saving.handle

    @property
    def created(self) -> int:
        """Unix second of the creation, kept when the id is renewed."""
        return self._saving.created

    @property
    def new(self) -> bool:
        """Whether the request came without a live session."""
        return self._saving.new

    def changed(self) -> None:
        """
        Have the session compared with what is stored.

        It need not be called: changes are noticed anyway.
        """
        self._load()
        self._draft.write()

    def invalidate(self) -> None:
        """
        Drop data and id; what follows goes into a new, empty session.

        With the response the session ends under every id that it ever had,
        in the same moment in which the new one begins. OWASP's session
        management cheat sheet asks for this at log-out.
        """
        self._saving.invalidate()

    def renew_id(self) -> None:
        """
        Keep the data under a fresh id; the old one is dead from then on.

        It takes place with the response, which tells the browser. Call it
        whenever privileges change, at log-in above all (OWASP's session
        management cheat sheet, "Renew the Session ID After Any Privilege
        Level Change").
        """
        self._saving.renew()

    def remember(self, seconds: int | None) -> None:
        """
        Give this session an idle time-out of its own.

        The cookie becomes persistent: the browser keeps it as long.

        :param seconds: from 1 to 34,560,000, which is 400 days: browsers
            keep no cookie for longer (RFC 6265bis section 5.5). ``None``
            returns to the settings.
        :raises ValueError: it is something else.
        """
        self._saving.remember(seconds)

    def confirm(self) -> None:
        """
        Note that the user has just proved who they are, by a password say.

        It holds for the user who is logged in now: after a log-out, or when
        somebody else has logged in, it is gone. Call it after the user id was
        put into the session. OWASP's authentication cheat sheet, "Require
        Re-authentication for Sensitive Features", says when to ask for it.
        """
        self._saving.confirm()

    def confirmed(self, seconds: int) -> bool:
        """
        Tell whether the user was confirmed lately; by the server's clock.

        :param seconds: how long ago that may be, from 0 on.
        :returns: ``False``, too, if :meth:`confirm` was never called.
        :raises ValueError: it is no such number.
        """
        return self._saving.confirmed(seconds)

    def save(self) -> None:
        """
        Save now what changed; without changes move the idle deadline if due.

        It is called for you when the response is ready. Call it yourself
        after a change that comes later than that, in a streamed body or
        another thread. In a :meth:`locked` block the end of the block saves.

        A session that has no record gets it with the response, for only then
        the browser can learn its id; here it is just seen to that it can be
        stored.

        :raises pyramid_mysql_session.SessionError: nothing was stored.
        """
        self._saving.save()

    def locked(self) -> AbstractContextManager[None]:
        """
        Lock the session's record for a read-modify-write.

        Before the block the data is brought up to date, after it the changes
        are saved; whoever else locks or saves the session waits meanwhile.
        An exception in the block takes back what the block changed, as does
        an error when it is saved. A session without a record needs no lock,
        since nobody else knows it, and in an inner ``locked`` the outer lock
        holds.

        :raises pyramid_mysql_session.LockTimeout: somebody else held the
            lock for more than ``lock_timeout`` seconds.
        :raises pyramid_mysql_session.StoreUnavailable: the connection broke,
            and with it the lock, and somebody else saved the session before
            the block was over.
        """
        return self._saving.locked()

    def _load(self) -> dict[str, Any]:
        data = self._draft.data
        return self._saving.load() if data is None else data

    def _share_all(self) -> dict[str, Any]:
        self._load()
        return self._draft.hand_out_all()
