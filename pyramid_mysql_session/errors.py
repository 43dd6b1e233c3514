"""The exceptions that a user of the package may catch."""

from __future__ import annotations

from collections.abc import Sequence

from pyramid.exceptions import ConfigurationError
from zope.interface import alsoProvides, noLongerProvides

try:
    from pyramid_retry import IRetryableError
except ImportError:  # pyramid_retry is the application's choice
    IRetryableError = None


class SessionError(Exception):
    """The root of every exception of this package."""


class SettingsError(SessionError, ConfigurationError):  # type: ignore[misc]
    """
    The settings cannot be used; ``problems`` lists every reason.

    Neither a secret nor a password is ever among the values shown.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__('\n'.join(problems))
        self.problems = tuple(problems)


class SchemaError(SessionError):
    """
    The table cannot hold sessions.

    ``deviations`` says what is wrong with it, ``remedy`` what mends it: a
    statement that loses no data, or advice.
    """

    def __init__(
        self, table: str, deviations: Sequence[str], remedy: str
    ) -> None:
        found = '; '.join(deviations)
        super().__init__(f'{table} cannot hold sessions: {found}. {remedy}')
        self.table = table
        self.deviations = tuple(deviations)
        self.remedy = remedy


class StoreUnavailable(SessionError):
    """
    The store could not answer; the driver's error is ``__cause__``.

    ``code`` is the number that MySQL or its client library gave to the
    error, ``None`` when the statement never got as far as that.
    ``outcome_unknown`` is true when nobody told whether the statement was
    executed; it is safe to save the same session again, for its revision
    tells. ``attempted`` is the revision of such a save, for that of a store.
    ``repeatable`` is true when the same may work if it is done once more.
    What the server took back for certain, since somebody else was first,
    ``pyramid_retry`` tries again.
    """

    def __init__(
        self,
        reason: str,
        advice: str,
        code: int | None = None,
        outcome_unknown: bool = False,
    ) -> None:
        suffix = '' if code is None else f' (MySQL error {code})'
        super().__init__(f'{reason}. {advice}{suffix}')
        self.reason = reason
        self.advice = advice
        self.code = code
        self.outcome_unknown = outcome_unknown
        self.attempted: int | None = None
        self.repeatable = False

    def allow_retry(self) -> None:
        """Let pyramid_retry try the request again."""
        if IRetryableError is not None:
            alsoProvides(self, IRetryableError)

    def forbid_retry(self) -> None:
        """Let it not."""
        if IRetryableError is not None:
            noLongerProvides(self, IRetryableError)

    def leave_in_doubt(self) -> None:
        """Note that something may have been stored nevertheless."""
        self.outcome_unknown = True
        self.forbid_retry()


class LockTimeout(StoreUnavailable):
    """A row stayed locked by somebody else for longer than the limit."""


class TransactionTooLarge(StoreUnavailable):
    """A cluster does not replicate so much at once; nothing was stored."""


class PayloadTooLarge(SessionError, ValueError):
    """
    The session is larger than what can be stored; nothing was sent.

    ``size`` and ``limit`` are bytes, or characters for a user id.
    """

    def __init__(self, what: str, size: int, limit: int, advice: str) -> None:
        super().__init__(
            f'{what} is {size:,} long, the limit is {limit:,}. {advice}'
        )
        self.size = size
        self.limit = limit


class UserIDError(SessionError, TypeError):
    """A user id is neither text nor a whole number; nothing was sent."""

    def __init__(self, userid: object) -> None:
        super().__init__(
            'A user id is text or a whole number, not of type '
            f'{type(userid).__name__}. Use a text that names the user.'
        )


class PayloadNotSerializable(SessionError, TypeError):
    """
    The serializer refuses a value; nothing was sent.

    ``path`` leads to the value: ``cart.items[2].price``.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f'The session cannot be stored: {path or "the session"} '
            f'{problem}. Store plain data, or name another '
            'mysql_session.serializer.'
        )
        self.path = path
