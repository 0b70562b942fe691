"""compat/application.py and wsgiapp.py: configuration in Gunicorn's order, by methods that may be overridden."""

import os
import sys

import pytest

from ostler.compat.application import Application, BaseApplication
from ostler.compat.package.errors import ConfigError
from ostler.compat.wsgiapp import WSGIApplication, run


class Program(Application):
    def init(self, parser, opts, args):
        self.args = args
        return {"backlog": 77, "loglevel": "debug"}

    def load(self):
        return print


@pytest.fixture
def words(monkeypatch, tmp_path):
    """words(...): the command line. In an empty directory, without variables of ours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("GUNICORN_CMD_ARGS", "OSTLER_CMD_ARGS", "WEB_CONCURRENCY", "PORT"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: monkeypatch.setattr(sys, "argv", ["program", *words])


def test_sources_win_in_gunicorns_order(words, tmp_path, monkeypatch):
    (tmp_path / "gunicorn.conf.py").write_text("backlog = 88\nworkers = 3\ntimeout = 4\nanything = 1\n")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--workers 5 --keep-alive 6")
    monkeypatch.setenv("OSTLER_TIMEOUT", "9")
    words("--keep-alive", "7", "x", "y")
    program = Program()
    cfg = program.cfg
    assert (cfg.loglevel, cfg.backlog, cfg.workers, cfg.timeout, cfg.keepalive) == ("debug", 88, 5, 9, 7)
    assert program.args == ["x", "y"]
    assert program.wsgi() is program.wsgi() is print


def test_a_file_that_is_named_is_read_by_the_methods_that_a_program_may_override(words, tmp_path):
    (tmp_path / "own.py").write_text("workers = 4\n")
    (tmp_path / "in_module.py").write_text("threads = 6\n")
    words("-c", "own.py")

    class Told(Program):
        def load_config_from_file(self, filename):
            self.read = filename
            return super().load_config_from_file(filename)

    program = Told()
    assert (program.read, program.cfg.workers) == ("own.py", 4)
    found = program.load_config_from_module_name_or_filename("python:in_module")
    assert (found["threads"], program.cfg.threads) == (6, 6)
    assert program.load_config_from_module_name_or_filename("file:own.py")["workers"] == 4
    with pytest.raises(RuntimeError, match=r"'nothing\.py' doesn't exist"):
        program.get_config_from_filename("nothing.py")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("workers = 'many'\n", "Error: workers: expected"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("bind = [\n", "SyntaxError"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_the_program(words, tmp_path, capsys, text, told):
    (tmp_path / "own.py").write_text(text)
    words("-c", "own.py")
    with pytest.raises(SystemExit) as failure:
        Program()
    assert failure.value.code == 1
    assert told in capsys.readouterr().err


def test_what_is_to_be_overridden_says_so(capsys):
    with pytest.raises(SystemExit):
        BaseApplication()
    assert "Error: BaseApplication.load_config: override it" in capsys.readouterr().err


def test_the_application_of_a_command_line(words, tmp_path, capsys):
    (tmp_path / "shop_of_a_test.py").write_text("def app(environ, start_response): ...\n")
    words("shop_of_a_test:app")
    program = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="mine")
    assert (program.app_uri, program.cfg.default_proc_name) == ("shop_of_a_test:app", "shop_of_a_test:app")
    assert program.load().__name__ == "app"
    words()
    with pytest.raises(SystemExit):
        WSGIApplication()
    assert "Error: No application module specified." in capsys.readouterr().err
    words("--paste", "nothing.ini")
    with pytest.raises(SystemExit) as failure:
        WSGIApplication()
    assert isinstance(failure.value.__cause__, ConfigError)


def test_check_config_loads_the_application_and_ends(words, tmp_path, capsys):
    words("--check-config", "no_such_module:app")
    with pytest.raises(SystemExit) as failure:
        WSGIApplication().run()
    assert failure.value.code == 1
    assert "Error while loading the application" in capsys.readouterr().err
    words("--print-config")
    with pytest.raises(SystemExit) as failure:
        Program().run()
    assert failure.value.code == 0
    assert "backlog" in capsys.readouterr().out


def test_run_is_our_own_command(words, capsys):
    words("--version")
    with pytest.raises(SystemExit) as done:
        run()
    assert done.value.code == 0
    assert "ostler (version" in capsys.readouterr().out


def test_a_directory_is_entered_and_stays_where_it_is(words, tmp_path):
    (tmp_path / "sub").mkdir()
    words("--chdir", "sub", "--pid", "x.pid")
    program = Program()
    assert os.getcwd() == program.cfg.chdir == f"{tmp_path}/sub"
    assert program.cfg.pidfile == f"{tmp_path}/sub/x.pid"
    assert sys.path[0] == f"{tmp_path}/sub"
