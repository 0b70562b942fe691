"""gevent and eventlet without a server: what is refused, and what a hub throws at the main greenlet."""

import contextlib
import logging
import ssl
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from ostler.errors import BootError
from ostler.workers.green import GreenWorker, patch_late, require, serve_exchange


@pytest.fixture
def site(tmp_path, monkeypatch):
    """site(VERSION): an installed package `verdant` of that version."""

    def install(version):
        (tmp_path / "verdant.py").write_text("")
        (tmp_path / "verdant-0.dist-info").mkdir()
        (tmp_path / "verdant-0.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: verdant\nVersion: {version}\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))

    yield install
    sys.modules.pop("verdant", None)


def test_a_missing_package_is_told_with_the_cure():
    with pytest.raises(BootError) as told:
        require("verdant", (1, 2))
    assert str(told.value) == (
        "worker_class: verdant needs the package verdant, 1.2 or newer (No module named 'verdant'); "
        'pip install "ostler[verdant]"'
    )


@pytest.mark.parametrize("version", ["1.1.9", "1", "0.99"])
def test_a_package_that_is_too_old_is_told_with_the_cure(site, version):
    site(version)
    with pytest.raises(BootError) as told:
        require("verdant", (1, 2, 0))
    assert str(told.value) == (
        f'worker_class: expected the package verdant 1.2.0 or newer, found {version}; pip install "ostler[verdant]"'
    )


@pytest.mark.parametrize("version", ["1.2.0", "1.2.1.dev3", "1.10.0", "2.0", "26.9.0"])
def test_a_package_that_is_new_enough_will_do(site, version):
    site(version)
    require("verdant", (1, 2, 0))


@pytest.mark.parametrize("error", [None, SystemExit(1), RuntimeError("defect")])
def test_an_exchange_is_finished_whatever_ends_its_greenlet(error):
    finished = []

    def run(client, row):
        assert (client, row) == ("client", 3)
        if error is not None:
            raise error

    live = SimpleNamespace(client="client", row=3, finish=lambda: finished.append(True))
    with contextlib.nullcontext() if error is None else pytest.raises(type(error)):
        serve_exchange(run, live)
    assert finished == [True]


class Watch:
    """Raises what a hub throws at the main greenlet, the first time."""

    def __init__(self, error):
        self.errors = [error]
        self.closed = False

    def wait(self, timeout_s):
        assert timeout_s == 0.5
        if self.errors:
            raise self.errors.pop()

    def close(self):
        self.closed = True


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_what_a_hub_throws_at_the_main_greenlet_ends_no_worker(error):
    warnings, hosted = [], SimpleNamespace(finished=False, fileno=lambda: 9, patience=lambda: 0.5)
    hosted.turn = lambda: setattr(hosted, "finished", True)
    watch = Watch(error)

    class Kind(GreenWorker):
        def __init__(self):
            self._hosted = hosted
            self._green = SimpleNamespace(watch=lambda fd: watch if fd == 9 else None)
            self._log = SimpleNamespace(warning=warnings.append)

        def _library(self):
            raise AssertionError

    Kind().serve()
    assert watch.closed
    (warning,) = warnings
    assert warning.endswith(f"the worker serves on error={type(error).__name__}")


IN_A_MOLD = {
    "gevent": "from gevent._hub_local import get_hub_if_exists as hub\nassert hub() is None",
    "eventlet": "from eventlet import hubs\nassert not hasattr(hubs._threadlocal, 'hub')",
}


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_mold_is_patched_and_has_no_hub(library):
    if find_spec(library) is None:
        pytest.skip(f"needs {library}, of the extra dev")
    code = f"""
import ostler.cli, socket
from ostler.process.threads import native_threads
from ostler.workers.kinds import kind_of
kind_of({library!r}).prepare()
assert socket.socket.__module__ != "socket"
assert native_threads() == ()
{IN_A_MOLD[library]}
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_dump_shows_where_greenlets_wait(library):
    if find_spec(library) is None:
        pytest.skip(f"needs {library}, of the extra dev")
    code = f"""
from ostler.workers.kinds import kind_of
kind = kind_of({library!r})
assert kind.stacks() == ""
kind.prepare()
import time, {library} as library
def report(): time.sleep(60)
waiting = [library.spawn(report) for _ in range(10)]
library.sleep(0)
told = kind.stacks()
print(told)
assert told.count("Greenlet (most recent call first):") == 8, told
assert told.count(" in report") == 8
assert told.endswith("2 more greenlets wait\\n")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout


def test_what_was_taken_out_of_ssl_before_is_put_right(monkeypatch):
    """As a configuration file's `import requests` takes it; gevent's own modules mean what they have."""
    taken, knowing = ModuleType("taken"), ModuleType("gevent.ssl")
    taken.SSLContext = knowing.SSLContext = before = ssl.SSLContext
    taken.other = object()
    others = dict(vars(taken)) | {"SSLContext": None}
    monkeypatch.setitem(sys.modules, "taken", taken)
    monkeypatch.setitem(sys.modules, "gevent.ssl", knowing)
    later = type("SSLContext", (), {})
    users = [module for module in sys.modules.values() if vars(module).get("SSLContext") is before]
    try:
        patch_late(lambda: monkeypatch.setattr(ssl, "SSLContext", later))
        assert taken.SSLContext is later
        assert knowing.SSLContext is before
        assert dict(vars(taken)) | {"SSLContext": None} == others
    finally:
        for module in users:
            module.SSLContext = before


def test_a_class_derived_from_that_of_ssl_is_told(monkeypatch, caplog):
    class Derived(ssl.SSLContext):
        pass

    with monkeypatch.context() as patch:
        users = [m for m in sys.modules.values() if vars(m).get("SSLContext") is ssl.SSLContext]
        before = ssl.SSLContext
        try:
            monkeypatch.setattr(logging.getLogger("gunicorn.error"), "propagate", True)
            patch_late(lambda: patch.setattr(ssl, "SSLContext", type("SSLContext", (), {})))
        finally:
            for module in users:
                module.SSLContext = before
    assert f"{__name__}.{Derived.__qualname__}" in caplog.text
    assert 'cure="patch in the first lines of the configuration file"' in caplog.text


def test_what_patches_nothing_of_ssl_changes_nothing(caplog):
    patch_late(lambda: None)
    assert not caplog.records
