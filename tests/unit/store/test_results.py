import pytest

from pyramid_mysql_session.store import revisions
from pyramid_mysql_session.store.results import LockedRecord, Record

RECORD = Record('{"hunter2":1}', 10, 100, 7, 50)


@pytest.mark.parametrize(
    ('now', 'alive'), [(50, True), (100, True), (101, False)]
)
def test_record_is_alive_up_to_its_last_second(now, alive):
    assert RECORD._replace(now=now).alive is alive


def test_record_precedes_the_revision_that_replaced_it():
    following = revisions.following(RECORD.revision)

    assert RECORD.precedes(following)
    assert not RECORD.precedes(RECORD.revision)
    assert not RECORD._replace(revision=following).precedes(RECORD.revision)


def test_repr_of_a_record_does_not_show_its_payload():
    assert repr(RECORD) == '<Record of 13 bytes, expires 100>'


class TestLockedRecord:
    @pytest.fixture
    def sent(self):
        return []

    @pytest.fixture
    def lock(self, sent):
        """Call it with a record, and how many rows a statement finds."""

        def send(rows):
            return lambda *args: sent.append(args) or rows

        return lambda record, rows=1: LockedRecord(
            record, send(rows), send(rows)
        )

    def test_save_replaces_the_revision_with_the_one_it_tells(
        self, lock, sent
    ):
        row = lock(RECORD)

        assert row.save('{}', 60, 'ada') is True

        assert sent == [('{}', 7, 60, 'ada', None, row.revision, None)]
        assert RECORD.precedes(row.revision)

    def test_delete_names_the_revision(self, lock, sent):
        assert lock(RECORD).delete() is True

        assert sent == [(7,)]

    def test_row_that_is_gone_is_neither_saved_nor_deleted(self, lock):
        row = lock(RECORD, rows=0)

        assert row.save('{}', 60) is False
        assert row.delete() is False

    def test_without_a_record_nothing_is_sent(self, lock, sent):
        row = lock(None)

        assert row.revision is None
        assert row.save('{}', 60) is False
        assert row.delete() is False
        assert sent == []
