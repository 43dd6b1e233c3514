"""What the tests against a server share."""

from tests.functional.conftest import app, make_app, rows

__all__ = ['app', 'make_app', 'rows']
