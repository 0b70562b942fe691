"""compat/embedding.py: what of a program's object belongs to which generation, and what it raises."""

import os

import pytest

from ostler.app.loader import AppBootError
from ostler.compat.application import BaseApplication
from ostler.compat.arbiter import Arbiter
from ostler.compat.embedding import Embedding
from ostler.compat.package.errors import AppImportError
from ostler.config.usercode import ConfigFileError
from ostler.errors import AppLoadError, ConfigError


class Program(BaseApplication):
    """workers: as it is configured, again at each load_config."""

    workers = 2
    problem = None

    def load_config(self):
        if self.problem is not None:
            raise self.problem
        self.found = self.workers
        self.cfg.set("workers", self.workers)

    def load(self):
        if self.problem is not None:
            raise self.problem
        return lambda environ, start_response: []


def test_the_first_settings_are_those_that_the_program_has_set():
    program = Program()
    program.cfg.set("threads", 3)  # behind load_config
    settings = Embedding(program, os.getcwd()).load_settings()
    assert (settings.workers, settings.threads, settings.worker_class) == (2, 3, "gthread")
    with pytest.raises(AttributeError, match="cannot be changed in a running server"):
        program.cfg.set("threads", 1)


def test_a_generation_finds_the_object_as_it_was_made_of_it():
    program = Program()
    embedding = Embedding(program, os.getcwd())
    embedding.load_settings()
    first = embedding.pin()
    program.from_a_hook = 1
    first.put_back()
    assert program.from_a_hook == 1, "nothing came between"
    program.workers = 5
    assert embedding.load_settings().workers == 5
    second = embedding.pin()
    program.of_the_second = 2
    first.put_back()
    assert (program.found, program.cfg.workers, program.from_a_hook) == (2, 2, 1)
    assert not hasattr(program, "of_the_second")
    second.put_back()
    assert (program.found, program.of_the_second) == (5, 2)


def test_a_reload_that_fails_leaves_the_object_as_it_was(capsys):
    program = Program()
    embedding = Embedding(program, os.getcwd())
    embedding.load_settings()
    pinned = embedding.pin()
    cfg = program.cfg
    Program.problem = KeyError("no such option")
    try:
        with pytest.raises(ConfigFileError, match=r"Program\.load_config raised KeyError: 'no such option'") as failure:
            embedding.load_settings()
    finally:
        Program.problem = None
    assert "raise self.problem" in failure.value.traceback_text
    assert program.cfg is cfg
    assert embedding.load_settings().workers == 2
    assert "Error: 'no such option'" in capsys.readouterr().err
    pinned.put_back()
    assert program.cfg is cfg, "settings that loaded and were not used do not stay"


def test_a_reload_reads_where_the_program_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    seen = []

    class Elsewhere(Program):
        def load_config(self):
            seen.append(os.getcwd())
            self.cfg.set("chdir", "sub")
            self.cfg.set("pidfile", "x.pid")

    program = Elsewhere()
    embedding = Embedding(program, str(tmp_path))
    first = embedding.load_settings()
    embedding.pin()
    os.chdir(first.chdir)
    again = embedding.load_settings()
    assert seen == [str(tmp_path)] * 2
    assert (first.chdir, first.pidfile) == (again.chdir, again.pidfile) == (f"{tmp_path}/sub", f"{tmp_path}/sub/x.pid")
    assert os.getcwd() == f"{tmp_path}/sub"


def test_settings_that_do_not_go_together_are_a_configuration_error(capsys):
    program = Program()
    embedding = Embedding(program, os.getcwd())
    embedding.load_settings()
    embedding.pin()
    program.load_config = lambda: program.cfg.set("certfile", "/no/such.pem")
    with pytest.raises(ConfigError, match="certfile: expected a file in PEM"):
        embedding.load_settings()
    assert "Error: certfile" in capsys.readouterr().err


def test_the_application_is_what_wsgi_returns():
    program = Program()
    embedding = Embedding(program, os.getcwd())
    settings = embedding.load_settings()
    application = embedding.pin().load(settings)
    assert application is program.callable


@pytest.mark.parametrize(
    ("problem", "kind", "words"),
    [
        (ImportError("no module"), AppBootError, "ImportError: no module"),
        (SystemExit(3), AppBootError, r"SystemExit\(3\)"),
        (AppImportError("nothing there"), AppLoadError, "application: nothing there"),
        (AppLoadError("as it is"), AppLoadError, "^as it is$"),
    ],
)
def test_what_load_raises_fails_the_boot(problem, kind, words):
    program = Program()
    embedding = Embedding(program, os.getcwd())
    settings = embedding.load_settings()
    program.problem = problem
    with pytest.raises(kind, match=words):
        embedding.pin().load(settings)


def test_an_application_that_cannot_be_called_is_refused():
    program = Program()
    program.load = lambda: "app"
    embedding = Embedding(program, os.getcwd())
    settings = embedding.load_settings()
    with pytest.raises(AppLoadError, match=r"expected a callable from Program\.load, got str"):
        embedding.pin().load(settings)


def test_an_object_that_only_has_what_is_needed_will_do():
    class Slim:
        __slots__ = ("cfg",)

        def wsgi(self):
            return print

    slim = Slim()
    slim.cfg = Program().cfg
    embedding = Embedding(slim, os.getcwd())
    settings = embedding.load_settings()
    pinned = embedding.pin()
    pinned.put_back()
    assert pinned.load(settings) is print


def test_an_arbiter_shows_what_it_will_be_before_it_runs():
    program = Program()
    program.cfg.set("pidfile", "/run/x.pid")
    program.cfg.set("timeout", 31)
    arbiter = Arbiter(program)
    assert (arbiter.num_workers, arbiter.timeout, arbiter.cfg, arbiter.WORKERS) == (2, 31, program.cfg, {})
    assert (arbiter.pidfile.fname, arbiter.LISTENERS, arbiter.worker_age) == ("/run/x.pid", [], 0)
    assert arbiter.START_CTX["cwd"]
    assert arbiter.spawn_worker() is None
    program.cfg.set("certfile", "/no/such.pem")
    with pytest.raises(ConfigError, match="certfile"):
        Arbiter(program)
