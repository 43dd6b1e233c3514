"""What our classes promise to Pyramid and to each other."""

import pytest
from pyramid.interfaces import ISession, ISessionFactory
from zope.interface.verify import verifyClass, verifyObject

from pyramid_mysql_session import (
    IMySQLSessionStore,
    ISerializer,
    MySQLSessionFactory,
)
from pyramid_mysql_session.session.serializers import JSONSerializer
from pyramid_mysql_session.session.session import MySQLSession
from pyramid_mysql_session.store.store import MySQLSessionStore


@pytest.mark.parametrize(
    ('interface', 'implementation'),
    [
        (ISession, MySQLSession),
        (ISessionFactory, MySQLSessionFactory),
        (IMySQLSessionStore, MySQLSessionStore),
    ],
)
def test_class_implements_its_interface(interface, implementation):
    assert verifyClass(interface, implementation)


def test_serializer_is_one_without_saying_so():
    # anybody's may be, and the standard library's are, too
    assert verifyClass(ISerializer, JSONSerializer, tentative=True)


def test_session_provides_its_interface(make_session):
    assert verifyObject(ISession, make_session())


def test_factory_and_store_provide_their_interfaces(make_factory):
    factory = make_factory()

    assert verifyObject(ISessionFactory, factory)
    assert verifyObject(IMySQLSessionStore, factory.store)
