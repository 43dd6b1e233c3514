"""What a newcomer gets wrong is shown, with what to do; and it is found."""

import logging
import re
import secrets
from contextlib import contextmanager
from types import SimpleNamespace

import plaster
import pytest

from pyramid_mysql_session.commands import table
from tests.functional.commands import CommandLine
from tests.helpers import SECRET
from tests.manual import mistakes
from tests.manual.blocks import DOCS
from tests.manual.messages import messages
from tests.manual.mistakes import MISTAKES

PAGE = (DOCS / 'troubleshooting.rst').read_text('utf-8')

#: What no user is shown: others say it with words of their own.
INSIDE = {
    'no secret signed this cookie',
    'the payload is not sealed',
    'the payload was not sealed by us',
    'the payload cannot be decoded',
    'the payload holds no dict',
}


def entries():
    """Return the words under which the page has its entries."""
    titles = re.findall(r'^(\S.*)\n~+$', PAGE, re.MULTILINE)
    listed = re.findall(r'^\* ``(.+?)``$', PAGE, re.MULTILINE)
    every = [words.replace('``', '') for words in titles + listed]
    # a single word finds too much
    return [words for words in every if re.search(r'\w.* \w', words)]


def pattern(words):
    """Return a regular expression for words of the page."""
    return '.*?'.join(map(re.escape, words.split('…')))


def found(text):
    """Return the entries of the page whose words are in a text."""
    text = ' '.join(text.split())
    return [words for words in entries() if re.search(pattern(words), text)]


class World:
    """Where mistakes are made, and what they show."""

    def __init__(self, database, make_app, make_command, tmp_path):
        self.database = database
        self.server = database.server
        self.make_app = make_app
        self.shown = []
        self._make_command = make_command
        self._folder = tmp_path

    def start(self, **settings):
        """Start an application that looks at once whether all is well."""
        return self.make_app(check_at_start=True, **settings)

    @contextmanager
    def account(self, host, limits=''):
        """Give the settings of a user from some hosts who may do all."""
        name, password = f'user_{secrets.token_hex(6)}', secrets.token_hex(6)
        account = f'{name}@{host}'.replace('%', '%%')
        self.database.query(
            f'CREATE USER {account} IDENTIFIED BY %s {limits}', (password,)
        )
        try:
            self.database.query(
                f'GRANT ALL ON `{self.database.name}`.* TO {account}', ()
            )
            yield {'user': name, 'password': password}
        finally:
            self.database.query(f'DROP USER {account}', ())

    def settings_of_ini(self, line, encoding='utf-8'):
        """Read the settings of an ini file, as pserve does."""
        loader = self._load(f'use = egg:shop\n{line}', encoding)
        loader.get_wsgi_app_settings()

    def values_of_ini(self, line):
        """Return what a line of an ini file says."""
        return dict(self._load(line).get_settings('app:main'))

    def _load(self, lines, encoding='utf-8'):
        path = self._folder / 'development.ini'
        path.write_text(f'[app:main]\n{lines}\n', encoding)
        return plaster.get_loader(str(path), protocols=['wsgi'])

    def check(self, ahead):
        """Run the command check where the server's clock is ahead."""
        command = self._make_command()
        with pytest.MonkeyPatch.context() as patch:
            now = self.make_app().store.now()
            patch.setattr(
                table, 'time', SimpleNamespace(time=lambda: now - ahead)
            )
            self.shown += command('check').out.splitlines()


@pytest.fixture
def make_command(database, tmp_path, capsys):
    return lambda: CommandLine(
        tmp_path, database.settings(secret=SECRET), capsys
    )


@pytest.fixture
def world(database, make_app, make_command, tmp_path):
    return World(database, make_app, make_command, tmp_path)


@pytest.mark.parametrize('mistake', MISTAKES, ids=lambda each: each.name)
def test_mistake_is_shown_with_what_to_do(mistake, world, caplog):
    caplog.set_level(logging.DEBUG, 'pyramid_mysql_session')

    try:
        mistake.make(world)
    # of Pyramid, of the standard library, or of ours
    except Exception as exc:  # noqa: BLE001
        world.shown.append(str(getattr(exc, 'evalue', exc)))
    shown = [*world.shown, *caplog.messages]

    told = [
        text
        for text in shown
        if re.fullmatch(mistake.pattern(), text, re.DOTALL)
    ]
    assert told, shown
    assert found(told[0])


def test_mistakes_say_what_to_do():
    for mistake in MISTAKES:
        assert mistake.advice or mistake.then
    assert len(MISTAKES) > 30
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)


def test_table_of_mistakes_is_up_to_date():
    assert mistakes.TABLE.read_text('utf-8') == mistakes.as_rst(), (
        'run python -m tests.manual.mistakes'
    )


@pytest.mark.parametrize(
    'message', messages(), ids=lambda each: f'{each.module}-{each.line}'
)
def test_message_is_found_on_the_page(message):
    assert message.text in INSIDE or found(message.text), message


def test_page_has_no_entry_for_what_nobody_says():
    said = [message.text for message in messages()]
    said += [f'{mistake.says} {mistake.advice}' for mistake in MISTAKES]

    for words in entries():
        assert any(re.search(pattern(words), text) for text in said), words
