"""The server runner up to the point where the master would start: `check_config` and `print_config` stand for a run."""

import sys
from importlib.metadata import entry_points

import pytest
from paste.deploy import loadserver

from ostler.compat.paste import serve
from tests.unit.compat.names import gunicorn_put_back

INI = "[server:main]\nuse = egg:ostler#main\nhost = 127.0.0.1\nport = 8123\nworkers = 3\ncheck_config = true\n{}\n"


def wsgi(environ, start_response): ...


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A directory to start in; the process is put back as it was."""
    path = sys.path.copy()
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "OSTLER_CMD_ARGS", "PWD"):
        monkeypatch.delenv(name, raising=False)
    with gunicorn_put_back():
        yield tmp_path
    sys.path[:] = path
    sys.modules.pop("__config__", None)


def run(start, more=""):
    """What pserve does with an ini that has `more` in its section -> the exit status."""
    (start / "production.ini").write_text(INI.format(more))
    server = loadserver(f"config:{start}/production.ini")
    with pytest.raises(SystemExit) as caught:
        server(wsgi)
    return caught.value.code


def test_the_entry_point_is_this_runner():
    (found,) = [entry for entry in entry_points(group="paste.server_runner") if entry.value.startswith("ostler")]
    assert (found.name, found.load()) == ("main", serve)


def test_the_section_is_read_and_wins(start, capsys):
    (start / "gunicorn.conf.py").write_text("workers = 9\nthreads = 2\nworker = 1\n")
    assert run(start) == 0
    assert "worker: not a setting; did you mean workers? (from gunicorn.conf.py:3)" in capsys.readouterr().err
    assert run(start, "print_config = true") == 0
    lines = {line.partition(" ")[0]: line.partition("= ")[2] for line in capsys.readouterr().out.splitlines()}
    file = f"{start}/production.ini"
    assert lines["workers"] == f"3  ({file})"
    assert lines["bind"] == f"127.0.0.1:8123  ({file})"
    assert lines["threads"] == "2  (gunicorn.conf.py)"
    assert lines["proc_name"].startswith(file)
    assert lines["wsgi_app"].startswith("ostler.compat.paste:application()")


def test_an_error_is_one_line_and_the_commands_status(start, capsys):
    assert run(start, "worker = 3") == 1
    assert capsys.readouterr().err.startswith("Error: worker: expected a setting")
    (start / "gunicorn.conf.py").write_text("1/0\n")
    assert run(start) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_application_that_was_handed_over_is_found_while_it_is_served(start, capsys):
    # The configuration file stands for a worker: it runs inside serve() too.
    (start / "gunicorn.conf.py").write_text("import ostler.compat.paste as p\nprint(p.application().__qualname__)\n")
    assert run(start) == 0
    assert capsys.readouterr().out == "wsgi\n"


def test_configuration_files_may_import_gunicorns_logger(start):
    text = "import gunicorn.glogging, ostler.compat.glogging\n"
    (start / "gunicorn.conf.py").write_text(text + "assert gunicorn.glogging is ostler.compat.glogging\n")
    assert run(start) == 0
