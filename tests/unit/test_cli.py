"""How the command line is read."""

import subprocess
import sys

import pytest

from pyramid_mysql_session import cli
from pyramid_mysql_session.commands import configured, failing
from pyramid_mysql_session.errors import SettingsError

INI = """\
[DEFAULT]
secret = an unlikely secret
[app:main]
use = call:pyramid_mysql_session.cli:main
other.setting = 1
mysql_session.secret = %(secret)s
mysql_session.read_default_file = %(here)s/my.cnf
mysql_session.user = %(who)s
[app:shop]
use = main
mysql_session.user = shop
[pipeline:all]
pipeline = main
"""


@pytest.fixture
def ini(tmp_path):
    path = tmp_path / 'production.ini'
    path.write_text(INI, 'utf-8')
    return str(path)


@pytest.fixture
def asked(monkeypatch):
    """The options of the commands that were to be run."""
    asked = []

    def run(options):
        asked.append(options)
        return 0

    monkeypatch.setattr(cli, '_run', run)
    return asked


class TestArguments:
    @pytest.mark.parametrize(
        'arguments',
        [
            (),
            ('production.ini',),
            ('production.ini', 'destroy'),
            ('production.ini', 'purge', '--max-seconds', '0'),
            ('production.ini', 'purge', '--max-seconds', '-1'),
            ('production.ini', 'list', '--limit', '1.5'),
            ('production.ini', 'list', '--limit', '\u0663'),
            ('production.ini', 'list', '--lim', '5'),
            ('production.ini', 'end', '--yes'),
            ('production.ini', 'end', '--yes', '--all', '--user', 'ada'),
        ],
    )
    def test_wrong_usage_exits_with_2(self, asked, capsys, arguments):
        with pytest.raises(SystemExit) as info:
            cli.main(arguments)

        assert info.value.code == 2
        assert 'usage: pyramid-mysql-session' in capsys.readouterr().err
        assert asked == []

    @pytest.mark.parametrize('given', ['', 'passw0rd', '=passw0rd'])
    def test_wrong_assignment_is_not_shown(self, asked, capsys, given):
        with pytest.raises(SystemExit):
            cli.main(['-o', given, 'production.ini', 'check'])

        err = capsys.readouterr().err
        assert 'argument -o: expected NAME=VALUE' in err
        assert 'passw0rd' not in err

    def test_assignments_may_stand_anywhere(self, asked):
        cli.main(['-o', 'a=1', 'x.ini', '-o', 'b=2', 'check', '-o', 'c=3=4'])

        (options,) = asked
        given = options.given + options.given_later
        assert given == [('a', '1'), ('b', '2'), ('c', '3=4')]

    def test_defaults_of_a_list(self, asked):
        cli.main(['x.ini', 'list'])

        (options,) = asked
        assert (options.user, options.limit, options.json) == (
            None,
            100,
            False,
        )

    def test_version_is_that_of_the_package(self, capsys):
        with pytest.raises(SystemExit) as info:
            cli.main(['--version'])

        assert info.value.code == 0
        assert capsys.readouterr().out.startswith('pyramid-mysql-session 1.')

    @pytest.mark.parametrize(
        'command', ['init', 'check', 'purge', 'stats', 'list', 'end']
    )
    def test_help_of_a_command_has_examples(self, capsys, command):
        with pytest.raises(SystemExit) as info:
            cli.main(['x.ini', command, '--help'])

        assert info.value.code == 0
        out = capsys.readouterr().out
        assert f'  pyramid-mysql-session production.ini {command}' in out

    def test_help_names_all_commands(self):
        shown = subprocess.run(
            [sys.executable, '-m', 'pyramid_mysql_session', '--help'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        for command in ('init', 'check', 'purge', 'stats', 'list', 'end'):
            assert f'\n    {command} ' in shown


class TestSettings:
    def test_file_may_have_variables(self, ini, tmp_path):
        assert configured.read_settings(ini, {'who': 'ada'}) == {
            'mysql_session.secret': 'an unlikely secret',
            'mysql_session.read_default_file': f'{tmp_path}/my.cnf',
            'mysql_session.user': 'ada',
        }

    def test_setting_that_is_given_replaces_that_of_the_file(self, ini):
        found = configured.read_settings(
            f'{ini}#main',
            {
                'who': 'ada',
                'mysql_session.user': '100%',
                'mysql_session.host': 'db',
            },
        )

        assert found['mysql_session.user'] == '100%'
        assert found['mysql_session.host'] == 'db'

    def test_section_may_use_another(self, ini):
        found = configured.read_settings(f'{ini}#shop', {'who': 'ada'})

        assert found['mysql_session.user'] == 'shop'
        assert found['mysql_session.secret'] == 'an unlikely secret'

    @pytest.mark.parametrize(
        ('text', 'problem'),
        [
            ('passw0rd', 'line 1: expected a section, such as [app:main]'),
            (
                '[app:main]\npassw0rd',
                'line 2: expected name = value',
            ),
            (
                '[app:main]\nx = passw0rd%',
                'x in [app:main]: expected %(name)s of a variable that is '
                'there (see -o), and %% for a percent sign',
            ),
            (
                '[app:main]\nx = passw0rd%(y)s',
                'x in [app:main]: expected %(name)s of a variable that is '
                'there (see -o), and %% for a percent sign',
            ),
            (
                '[app:main]\n[app:main]',
                "section 'app:main' already exists",
            ),
            ('[app:shop]', "No section 'main'"),
            (
                '[app:main]\nuse = call:nowhere:main\nx = passw0rd',
                "No module named 'nowhere'",
            ),
            (
                '[app:main]\nuse = call:pyramid_mysql_session.cli:main',
                'no setting begins with mysql_session: name the section of '
                'the application, if it is another: {}#NAME',
            ),
        ],
    )
    def test_file_that_cannot_be_used_is_one_problem_without_values(
        self, tmp_path, text, problem
    ):
        path = tmp_path / 'broken.ini'
        path.write_text(text, 'utf-8')

        with pytest.raises(SettingsError) as info:
            configured.read_settings(str(path), {})

        (found,) = info.value.problems
        assert found.startswith(f'{path}: ')
        assert problem.format(path) in found
        assert 'passw0rd' not in found
        assert '\n' not in found

    @pytest.mark.parametrize('uri', ['{}/missing.ini', '{}', 'x', 'y://x'])
    def test_file_that_is_not_there_is_a_problem(self, tmp_path, uri):
        uri = uri.format(tmp_path)

        with pytest.raises(SettingsError, match=uri):
            configured.read_settings(uri, {})

    def test_application_that_cannot_be_imported_is_a_problem(
        self, tmp_path, monkeypatch
    ):
        (tmp_path / 'broken_shop.py').write_text('1 / 0', 'utf-8')
        path = tmp_path / 'shop.ini'
        path.write_text('[app:main]\nuse = call:broken_shop:main', 'utf-8')
        monkeypatch.syspath_prepend(tmp_path)

        with pytest.raises(SettingsError) as info:
            configured.read_settings(str(path), {})

        assert info.value.problems == (
            f'{path}: the application raised ZeroDivisionError on its import',
        )

    def test_pipeline_has_no_settings(self, ini):
        with pytest.raises(SettingsError, match='no setting begins with'):
            configured.read_settings(f'{ini}#all', {'who': 'ada'})

    def test_code_that_settings_name_and_that_fails_is_a_problem(self):
        with pytest.raises(SettingsError) as info:
            configured.make_factory(
                {
                    'mysql_session.secret': 'an unlikely secret',
                    'mysql_session.pool': f'{__name__}.fail',
                }
            )

        assert info.value.problems == (
            'what the settings of mysql_session.* name raised RuntimeError',
        )


def fail():
    raise RuntimeError('with a passw0rd')


def test_interrupted_command_fails(capsys):
    def run():
        raise KeyboardInterrupt

    assert failing.exit_code_of('program', run) == failing.FAILED
    assert capsys.readouterr().err == 'program: interrupted\n'
