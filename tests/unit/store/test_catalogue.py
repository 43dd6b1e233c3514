"""What information_schema is asked, and what becomes of its answers."""

import MySQLdb
import pytest

from pyramid_mysql_session.store.catalogue import Catalogue, Kind


class Connection:
    """A connection to a server that answers each statement with an error."""

    def __init__(self, code):
        self._code = code

    def fetch(self, sql):
        raise MySQLdb.OperationalError(self._code, 'an error')


def test_references_that_would_take_too_long_to_find_are_not_known():
    catalogue = Catalogue(Connection(1969), None, 'sessions')
    kind = Kind('sessions', 'BASE TABLE', 'InnoDB')

    assert catalogue.references(kind) is None


def test_other_error_of_the_search_for_references_is_raised():
    catalogue = Catalogue(Connection(2013), None, 'sessions')

    with pytest.raises(MySQLdb.OperationalError, match='2013'):
        catalogue.references(Kind('sessions', 'BASE TABLE', 'InnoDB'))
