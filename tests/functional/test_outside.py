"""The session without Pyramid's router, and in the hands of curious tools."""

import copy
import gc
import inspect
import pickle

import pytest
from pyramid import testing
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError
from pyramid.interfaces import ISession, ISessionFactory
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

import pyramid_mysql_session
from pyramid_mysql_session import (
    MySQLSessionFactory,
    PayloadNotSerializable,
    SessionRejected,
    session_factory_from_settings,
)
from pyramid_mysql_session.session.loop import SaveLoop
from pyramid_mysql_session.session.saving import Saving
from pyramid_mysql_session.session.session import MySQLSession

SECRET = 'the-secret-of-the-tests-outside-of-40-chars'


@pytest.fixture
def factory(database):
    factory = session_factory_from_settings(
        database.settings(secret=SECRET, purge_expired=False)
    )
    yield factory
    factory.close()


class TestDummyRequest:
    """``pyramid.testing.DummyRequest``, as unit tests of views use it."""

    @pytest.fixture(autouse=True)
    def config(self):
        with testing.testConfig() as config:
            yield config

    def visit(self, factory, view, value=None):
        """Return the cookie that a request leaves, and what a view says."""
        cookies = {} if value is None else {'session': value}
        request = testing.DummyRequest(cookies=cookies)
        request.session = factory(request)
        result = view(request.session)
        response = Response()
        request._process_response_callbacks(response)
        request._process_finished_callbacks()
        line = response.headers.get('Set-Cookie')
        if line is not None:
            value = line.split(';')[0].removeprefix('session=')
        return value, result

    def test_session_is_stored_and_found_again(self, factory):
        value, _ = self.visit(factory, lambda session: session.update(a=1))
        assert factory.store.count() == 1

        def change(session):
            assert ISession.providedBy(session)
            session['b'] = 2
            return session.new

        assert self.visit(factory, change, value) == (value, False)
        assert self.visit(factory, dict, value) == (value, {'a': 1, 'b': 2})

        after, _ = self.visit(
            factory, lambda session: session.invalidate(), value
        )
        assert after == ''
        assert factory.store.count() == 0

    def test_id_can_be_renewed(self, factory):
        old, _ = self.visit(factory, lambda session: session.update(a=1))
        new, _ = self.visit(factory, lambda session: session.renew_id(), old)

        assert new != old
        assert self.visit(factory, dict, old)[1] == {}
        assert self.visit(factory, dict, new)[1] == {'a': 1}

    @pytest.mark.parametrize('scheme', ['http', 'https'])
    def test_cookie_is_secure_when_the_request_is(self, factory, scheme):
        request = testing.DummyRequest(scheme=scheme)
        factory(request)['a'] = 1
        response = Response()
        request._process_response_callbacks(response)

        line = response.headers['Set-Cookie']
        assert ('secure' in line) == (scheme == 'https')

    def test_forged_cookie_is_rejected(self, factory, config):
        events = []
        config.add_subscriber(events.append, SessionRejected)

        assert self.visit(factory, dict, 'forged')[1] == {}
        assert [event.reason for event in events] == ['signature']

    def test_error_of_the_save_is_raised(self, factory):
        with pytest.raises(PayloadNotSerializable):
            self.visit(factory, lambda session: session.update(a=object()))

        assert factory.store.count() == 0

    def test_session_of_a_request_that_nobody_answers_is_not_stored(
        self, factory
    ):
        request = testing.DummyRequest()
        factory(request)['a'] = 1
        del request
        gc.collect()

        assert factory.store.count() == 0


class TestCuriousTools:
    """None of them writes to standard error: pytest makes that a failure."""

    @pytest.fixture
    def app(self, make_app):
        app = make_app()
        app.run(lambda request: request.session.update(a=[1], b={'c': 2}))
        return app

    @pytest.mark.parametrize('copied', [copy.copy, copy.deepcopy])
    def test_copy_is_a_dict(self, app, copied):
        def view(request):
            found = copied(request.session)
            assert type(found) is dict
            assert found == request.session
            shared = found['a'] is request.session['a']
            assert shared == (copied is copy.copy)
            found['a'].append(2)
            return found

        assert app.run(view).json == {'a': [1, 2], 'b': {'c': 2}}
        # who changes what a shallow copy shares changes the session
        stored = app.run(lambda request: request.session['a']).json
        assert stored == ([1, 2] if copied is copy.copy else [1])

    @pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle_is_refused_with_what_to_do(self, app, protocol):
        def view(request):
            with pytest.raises(TypeError) as caught:
                pickle.dumps(request.session, protocol)
            assert str(caught.value) == (
                'a session cannot be pickled: pickle dict(session)'
            )
            return pickle.loads(  # noqa: S301 (ours)
                pickle.dumps(dict(request.session), protocol)
            )

        assert app.run(view).json == {'a': [1], 'b': {'c': 2}}

    @pytest.mark.parametrize('kind', [MySQLSession, Saving])
    @pytest.mark.parametrize('late', [None, False, True])
    def test_object_without_init_is_shown_and_thrown_away(self, kind, late):
        made = kind.__new__(kind)
        if late is not None and kind is Saving:
            made._loop = SaveLoop.__new__(SaveLoop)
            made._loop.late = late

        assert kind.__name__ in repr(made)
        del made
        gc.collect()

    def test_inspection_shows_no_data_and_changes_nothing(self, app):
        def view(request):
            session = request.session
            assert session['a'] == [1]
            shown = [repr(session), str(session), f'{session!r}']
            shown += [repr(each) for each in vars(request).values()]
            shown.append(repr(request.session._saving))
            inspect.getmembers(session)
            return shown

        for each in app.run(view).json:
            assert 'MySQLSession' not in each or "'a'" not in each

    def test_factory_shows_its_cookie_and_no_secret(self, factory):
        assert repr(factory) == (
            "<MySQLSessionFactory of the cookie 'session'>"
        )
        # where pyramid_session_multi looks for it
        assert factory._cookie_name == 'session'
        shown = ' '.join(
            repr(each) for each in (*vars(factory).values(), *factory._kit)
        )
        assert SECRET not in shown


class TestConflict:
    """Two includes set a session factory."""

    def include_another(self, config):
        config.set_session_factory(SignedCookieSessionFactory('secret'))

    def test_conflict_names_where_we_are_included(self, database):
        config = Configurator(settings=database.settings())
        config.include('pyramid_mysql_session')
        line = inspect.currentframe().f_lineno - 1
        config.include(self.include_another)

        with pytest.raises(ConfigurationConflictError) as caught:
            config.commit()

        text = str(caught.value)
        assert f'Line {line} of file {__file__}' in text
        assert "config.include('pyramid_mysql_session')" in text
        assert pyramid_mysql_session.__file__ in text
        assert 'None' not in text

    def test_conflict_by_settings_names_where_they_are_used(self, database):
        settings = {
            **database.settings(),
            'pyramid.includes': 'pyramid_mysql_session',
        }
        config = Configurator(settings=settings)
        line = inspect.currentframe().f_lineno - 1
        config.include(self.include_another)

        with pytest.raises(ConfigurationConflictError) as caught:
            config.commit()

        assert f'Line {line} of file {__file__}' in str(caught.value)
        assert pyramid_mysql_session.__file__ in str(caught.value)

    @pytest.mark.parametrize('first', [True, False])
    def test_include_that_looks_for_a_session_factory_finds_ours(
        self, database, first
    ):
        found = []

        def look(config):
            found.append(config.registry.queryUtility(ISessionFactory))
            if found[0] is None:
                self.include_another(config)

        config = Configurator(settings=database.settings())
        if first:
            config.include('pyramid_mysql_session')
            config.include(look)
            with pytest.raises(LookupError, match='commit'):
                found[0](testing.DummyRequest())
            with pytest.raises(LookupError, match='commit'):
                pyramid_mysql_session.get_store(config.registry)
            config.commit()
            # whoever has kept it has the real one
            assert found[0](testing.DummyRequest()) == {}
            factory = config.registry.queryUtility(ISessionFactory)
            assert isinstance(factory, MySQLSessionFactory)
        else:
            config.include(look)
            config.commit()
            config.include('pyramid_mysql_session')
            config.commit()
            assert found == [None]

    def test_include_that_is_called_leaves_the_configurator_as_it_was(
        self, database
    ):
        config = Configurator(settings=database.settings())
        pyramid_mysql_session.includeme(config)
        config.add_route('one', '/1')
        config.add_route('one', '/2')

        with pytest.raises(ConfigurationConflictError) as caught:
            config.commit()

        assert 'pyramid_mysql_session/__init__' not in str(caught.value)

    def test_factory_of_the_application_itself_wins(self, database):
        # an application may override what it includes
        other = SignedCookieSessionFactory('secret')
        config = Configurator(
            settings=database.settings(), session_factory=other
        )
        config.include('pyramid_mysql_session')
        config.commit()

        with pytest.raises(LookupError):
            pyramid_mysql_session.get_store(config.registry)
