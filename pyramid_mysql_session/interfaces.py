"""Says what a store and a serializer promise."""

from __future__ import annotations

from zope.interface import Attribute, Interface

# zope.interface describes methods as their callers see them, without self
# mypy: ignore-errors


class ISerializer(Interface):
    """Turns session data into a payload and back; may be anybody's."""

    def dumps(data):
        """
        Serialize a ``dict``.

        A serializer that returns ``str`` needs a text column, one that
        returns ``bytes`` a binary one.
        """

    def loads(payload):
        """Return the ``dict``; raise ``ValueError`` for a malformed one."""


class IMySQLSessionStore(Interface):
    """
    Sessions as records in one table.

    A session id is the text from the verified cookie, an idle time-out a
    number of seconds, or ``None`` if only the absolute one counts. Whether a
    record is alive is decided by the server's clock alone. Each method may
    raise :exc:`pyramid_mysql_session.StoreUnavailable` or its subclass
    :exc:`~pyramid_mysql_session.LockTimeout`, and
    :exc:`pyramid_mysql_session.SchemaError` at first use.
    """

    closed = Attribute('Whether :meth:`close` was called.')

    def load(session_id):
        """
        Return the record of a session, expired or not.

        :returns: a :class:`~pyramid_mysql_session.store.results.Record`, or
            ``None`` when there is none.
        """

    def find_live(session_ids):
        """
        Tell which of some sessions live, by their ids.

        :returns: a :class:`~pyramid_mysql_session.store.results.Living`.
        """

    def is_renewed(session_id):
        """Tell whether the session of an unknown id lives under another."""

    def create(
        session_id,
        payload,
        idle_timeout,
        userid=None,
        replaces=(),
        device=None,
        ended=None,
    ):
        """
        Insert a record under a fresh session id.

        A record that has this id already is one whose creation was not
        answered: it is left as it is.

        :param userid: text or a whole number for the userid column.
        :param replaces: ids of sessions that are ended, under every id that
            they had, in the same moment.
        :param device: a :class:`~pyramid_mysql_session.store.results.Device`;
            it is noted where devices are tracked, here and below.
        :param ended: a list that gets those of ``replaces`` that were there,
            as far as is known.
        :returns: the revision of the record.
        :raises pyramid_mysql_session.PayloadTooLarge: before it is sent.
        """

    def measure(payload, userid=None):
        """
        Find out whether a session could be stored.

        :raises pyramid_mysql_session.PayloadTooLarge: it is too large.
        :raises pyramid_mysql_session.PayloadNotSerializable: its text is not
            one that the table can hold.
        """

    def save(
        session_id,
        payload,
        revision,
        idle_timeout,
        userid=None,
        new_session_id=None,
        attempted=None,
        device=None,
    ):
        """
        Update a record if it still has the revision that was loaded.

        Never creates or revives a record.

        :param payload: ``None`` leaves payload and user id as they are.
        :param revision: as loaded.
        :param new_session_id: the id that the record has from now on.
        :param attempted: the revision that an earlier attempt may have
            written whose answer was lost.
        :returns: a :class:`~pyramid_mysql_session.store.results.Outcome`.
        :raises pyramid_mysql_session.PayloadTooLarge: before it is sent.
        """

    def touch(session_id, idle_timeout, revision=None, device=None):
        """
        Move the idle deadline of a session; its payload is not rewritten.

        A touch never creates or revives a record, never shortens its life
        and never passes the absolute deadline.

        :param revision: as loaded; a record that was saved since is left as
            it is.
        :returns: ``False`` when no live record has that id, ``None`` when it
            has another revision.
        """

    def delete(session_id, revision=None):
        """
        End a session under every id that it ever had.

        :param revision: delete the record of this one id, and only if it
            still has this revision.
        :returns: a :class:`~pyramid_mysql_session.store.results.Deletion`.
        """

    def locked(session_id):
        """
        Lock a record until the ``with`` block ends, which commits.

        :returns: a context manager that gives a
            :class:`~pyramid_mysql_session.store.results.LockedRecord`.
        :raises pyramid_mysql_session.LockTimeout: somebody else holds it.
        """

    def ping():
        """
        Ask the server whether it is there, by one statement.

        :returns: ``False`` when it takes no writes.
        """

    def now():
        """Return the unix second by the clock of the server."""

    def count(userid=None):
        """Return the number of live sessions, of all or of a user."""

    def stats():
        """
        Return what the table holds.

        :returns: a :class:`~pyramid_mysql_session.store.census.Stats`.
        """

    def iter_sessions(batch=1000):
        """
        Iterate over all live sessions, with their data.

        They come in batches, each a consistent view of its own.

        :returns: an iterator over objects of type
            :class:`~pyramid_mysql_session.store.users.StoredSession`.
        """

    def newest(limit):
        """
        Return the newest live sessions, as far as their keys tell.

        :param limit: so many at most.
        :returns: a list, as :meth:`iter_sessions`; data is read when asked
            for.
        :raises ValueError: ``limit`` is below 1.
        """

    def for_user(userid, limit=None, after=None):
        """
        Return the live sessions of a user, the newest first.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :param limit: so many at most.
        :param after: the handle of the last one of an earlier list.
        :returns: a list, as :meth:`iter_sessions`; data is read when asked
            for.
        :raises pyramid_mysql_session.UserIDError: it is something else.
        :raises ValueError: ``after`` is no handle, ``limit`` below 1.
        """

    def end(handle, userid=...):
        """
        End one session, whatever its id is by now.

        :param handle: whatever is none ends nothing.
        :param userid: end it only if it is this user's.
        :returns: ``False`` when there is no such live session.
        :raises pyramid_mysql_session.UserIDError: the user id is ``None`` or
            of another type.
        """

    def delete_for_user(userid, keep=None):
        """
        Delete the sessions of a user.

        :param userid: text or a whole number; 5 and ``'5'`` are the same.
        :param keep: the handle of one that stays, or an id that it has or
            had; whoever has locked it is not waited for.
        :returns: the number of live sessions that were deleted.
        :raises pyramid_mysql_session.UserIDError: before anything is deleted.
        """

    def limit_for_user(userid, most, keep=None):
        """
        End the oldest live sessions of a user, beyond a number.

        :param keep: as above; it stays besides those.
        :returns: the number of sessions that were ended.
        :raises pyramid_mysql_session.UserIDError: before anything is ended.
        :raises ValueError: ``most`` is below 0.
        """

    def clear():
        """Delete all sessions, in batches; return their number."""

    def purge(stop=None, exclusive=False, progress=None):
        """
        Delete the expired sessions, in small transactions.

        :param stop: a callable that is asked between two batches.
        :param exclusive: do nothing while somebody else purges exclusively.
        :param progress: a callable that gets the number of sessions that a
            batch has deleted.
        :returns: the number of sessions that were deleted.
        """

    def create_table():
        """Create the table if it is missing, whatever the settings say."""

    def check_table():
        """
        Compare the table with what the store needs.

        :returns: a list of warnings, such as a missing index.
        :raises pyramid_mysql_session.SchemaError: lists every deviation and
            what mends it: statements that lose no data, or advice.
        """

    def close():
        """Refuse further use; may be called twice and from any thread."""
