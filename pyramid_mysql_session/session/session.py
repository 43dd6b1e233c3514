"""Implements ISession: a dict that is loaded on first use."""

from __future__ import annotations

import secrets
from collections.abc import (
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from typing import Any

from pyramid.interfaces import ISession
from zope.interface import implementer

from .merge import FLASH_PREFIX
from .saving import SavedState

#: Pyramid keeps its CSRF token under this key.
CSRF_KEY = '_csrft_'

# what cannot be changed without the session's noticing
_IMMUTABLE = frozenset({str, int, float, bool, bytes, type(None)})


@implementer(ISession)
class MySQLSession(SavedState, MutableMapping[str, Any]):
    """
    The session of one request.

    It behaves as a ``dict``. Every change is noticed, nested ones too, and
    saved when the response is ready. Keys are text; which values are
    possible is up to the serializer.
    """

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        return self._share(self._load()[key])

    def __setitem__(self, key: str, value: Any) -> None:
        self._load()[key] = self._share(value)
        self._written = True

    def __delitem__(self, key: str) -> None:
        del self._load()[key]
        self._written = True

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

    def get(self, key: str, default: Any = None) -> Any:
        return self._share(self._load().get(key, default))

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._load())

    def popitem(self) -> tuple[str, Any]:
        self._written = True
        return self._load().popitem()

    def keys(self) -> KeysView[str]:
        return self._load().keys()

    def values(self) -> ValuesView[Any]:
        return self._share_all().values()

    def items(self) -> ItemsView[str, Any]:
        return self._share_all().items()

    def copy(self) -> dict[str, Any]:
        """Return a shallow copy of the data."""
        return self._share_all().copy()

    def clear(self) -> None:
        """
        Remove all data; a session that stays empty loses its record.

        For a log-out call :meth:`invalidate`, which gives up the id, too.
        """
        self._load().clear()
        self._written = True

    def flash(
        self, msg: Any, queue: str = '', allow_duplicate: bool = True
    ) -> None:
        """
        Append a message to a flash queue.

        :param allow_duplicate: ``False`` drops a message that is there.
        """
        storage = self.setdefault(FLASH_PREFIX + queue, [])
        if allow_duplicate or msg not in storage:
            storage.append(msg)

    def pop_flash(self, queue: str = '') -> list[Any]:
        """Remove a flash queue and return its messages."""
        messages: list[Any] = self.pop(FLASH_PREFIX + queue, [])
        return messages

    def peek_flash(self, queue: str = '') -> list[Any]:
        """Return the messages of a flash queue, which stay in it."""
        messages: list[Any] = self.get(FLASH_PREFIX + queue, [])
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

    def _share(self, value: Any) -> Any:
        """Note that somebody may change this value behind our back."""
        if type(value) not in _IMMUTABLE:
            self._shared = True
        return value

    def _share_all(self) -> dict[str, Any]:
        data = self._load()
        for value in data.values():
            self._share(value)
        return data
