import os
import sys
import threading
from types import ModuleType

import pytest

from ostler.process.watch import Snapshot, Watcher, modification_times, module_files, package_files


def module(name, filename):
    made = ModuleType(name)
    made.__file__ = filename
    return made


def test_the_first_look_only_remembers():
    snapshot = Snapshot()
    assert snapshot.changed([("a", 1)]) == []
    assert snapshot.changed([("a", 1), ("b", 5)]) == []


def test_another_time_is_a_change_once_older_ones_too():
    snapshot = Snapshot()
    snapshot.changed([("a", 5), ("b", 5)])
    assert snapshot.changed([("a", 6), ("b", 4)]) == ["a", "b"]
    assert snapshot.changed([("a", 6), ("b", 4)]) == []


def test_a_file_that_vanishes_is_no_change_until_it_returns_with_another_time():
    snapshot = Snapshot()
    snapshot.changed([("a", 5)])
    assert snapshot.changed([]) == []
    assert snapshot.changed([("a", 5)]) == []
    assert snapshot.changed([]) == []
    assert snapshot.changed([("a", 6)]) == ["a"]


def test_files_of_modules_are_their_sources():
    class Odd:
        __file__ = "odd.py"

    modules = [module("a", "/a.py"), module("b", "/b.pyc"), module("c", None), ModuleType("d"), None, Odd()]
    assert module_files(modules) == {"/a.py", "/b.py"}


def test_a_lazy_module_is_not_loaded_by_looking():
    class Lazy(ModuleType):
        def __getattribute__(self, name):
            raise AssertionError(f"{name} was asked for")

    assert module_files([Lazy("lazy")]) == set()


def test_a_package_is_watched_with_what_is_not_imported(tmp_path):
    (tmp_path / "pkg" / "sub").mkdir(parents=True)
    for name in ("pkg/__init__.py", "pkg/sub/new.py", "pkg/notes.txt", "beside.py"):
        (tmp_path / name).touch()
    package = module("pkg", str(tmp_path / "pkg/__init__.py"))
    package.__path__ = [str(tmp_path / "pkg")]
    expected = {str(tmp_path / "pkg/__init__.py"), str(tmp_path / "pkg/sub/new.py")}
    assert package_files("pkg.wsgi", {"pkg": package}) == expected
    assert package_files("plain", {"plain": module("plain", "x.py")}) == set()
    assert package_files("absent", {}) == set()


def test_files_that_are_not_there_have_no_time(tmp_path):
    (tmp_path / "a").touch()
    names = [str(tmp_path / "a"), str(tmp_path / "b"), "bad\0name"]
    assert [name for name, _ in modification_times(names)] == names[:1]


@pytest.fixture
def watched(tmp_path):
    """A module's file that stands in sys.modules."""
    file = tmp_path / "watched.py"
    file.touch()
    sys.modules["watched_of_test"] = module("watched_of_test", str(file))
    yield file
    del sys.modules["watched_of_test"]


def test_the_watcher_calls_for_each_change_until_it_is_stopped(watched):
    calls, called = [], threading.Semaphore(0)

    def note(filename):
        calls.append(filename)
        called.release()

    watcher = Watcher(note, interval_s=0.01)
    assert watcher.daemon
    watcher.start()
    try:
        for time_ns in (1, 2):
            os.utime(watched, ns=(time_ns, time_ns))
            assert called.acquire(timeout=10)
    finally:
        watcher.stop()
        watcher.join(10)
    assert not watcher.is_alive()
    assert set(calls) == {str(watched)}
