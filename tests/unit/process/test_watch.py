import errno
import os
import queue
import select
import sys
import threading
import time
from types import ModuleType

import pytest

from ostler.process import inotify
from ostler.process.watch import DirectoryEvents, Snapshot, Watcher

ENGINES = ["poll", "inotify"] if sys.platform == "linux" else ["poll"]


class Quick(Watcher):
    interval_s = 0.02


class Watch:
    """A watcher that runs, and the files it told of; `none` shows by a file of its own that nothing came before."""

    def __init__(self, marker, **options):
        self.marker = marker
        self.notices = []
        self.calls = queue.SimpleQueue()
        extra = [*options.pop("extra_files", ()), str(marker)]
        self.watcher = Quick(self.calls.put, extra_files=extra, notice=self.notices.append, **options)
        self.watcher.start()

    def next(self):
        return self.calls.get(timeout=10)

    def none(self):
        self.marker.write_text(self.marker.read_text() + "x")
        assert self.next() == str(self.marker)

    def end(self):
        self.watcher.stop()
        self.watcher.join(10)
        assert not self.watcher.is_alive()


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def watch(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("ostler.process.watch.SWEEP_S", 1000.0)  # events alone must tell
    (tmp_path / "marker").mkdir()
    marker = tmp_path / "marker" / "~last"  # sorts behind: the least name is told
    marker.touch()
    watches = []

    def start(**options):
        watches.append(Watch(marker, engine=engine, **options))
        assert watches[-1].watcher.engine == engine
        return watches[-1]

    yield start
    for each in watches:
        each.end()


@pytest.fixture
def watched(tmp_path):
    """A package whose first file stands in sys.modules; its directory."""
    directory = tmp_path / "pkg"
    directory.mkdir()
    (directory / "__init__.py").touch()
    package = ModuleType("watched_of_test")
    package.__file__ = str(directory / "__init__.py")
    package.__path__ = [str(directory)]
    sys.modules["watched_of_test"] = package
    yield directory
    del sys.modules["watched_of_test"]


# -- what is compared


def test_the_first_look_only_remembers():
    snapshot = Snapshot()
    assert snapshot.changed([("a", (1, 1))], 0.0, {"a"}) == []
    assert snapshot.changed([("a", (1, 1)), ("b", (5, 1))], 0.0) == []


def test_another_stamp_is_a_change_once_older_ones_too():
    snapshot = Snapshot()
    snapshot.changed([("a", (5, 1)), ("b", (5, 1)), ("c", (5, 1))], 0.0)
    now = [("a", (6, 1)), ("b", (4, 1)), ("c", (5, 2))]
    assert snapshot.changed(now, 1.0) == ["a", "b", "c"]
    assert snapshot.changed(now, 2.0) == []


def test_a_new_file_is_a_change_when_it_is_listed():
    snapshot = Snapshot()
    snapshot.changed([], 0.0)
    assert snapshot.changed([("imported", (1, 1)), ("listed", (1, 1))], 1.0, {"listed"}) == ["listed"]


def test_a_file_that_vanishes_for_a_moment_is_no_change_until_it_has_another_stamp():
    snapshot = Snapshot(grace_s=1.0)
    snapshot.changed([("a", (5, 1))], 0.0)
    assert snapshot.changed([], 10.0) == []
    assert snapshot.unsure
    assert snapshot.changed([], 10.9) == []
    assert snapshot.changed([("a", (5, 1))], 11.5) == []
    assert not snapshot.unsure
    assert snapshot.changed([], 12.0) == []
    assert snapshot.changed([("a", (6, 1))], 12.1) == ["a"]


def test_a_file_that_stays_away_is_a_change_once():
    snapshot = Snapshot(grace_s=1.0)
    snapshot.changed([("a", (5, 1))], 0.0)
    assert snapshot.changed([], 10.0) == []
    assert snapshot.changed([], 11.0) == ["a"]
    assert snapshot.changed([], 13.0) == []
    assert (set(snapshot.known), snapshot.unsure) == (set(), False)


# -- both engines


def test_each_change_of_a_module_is_told(watched, watch):
    running = watch()
    file = watched / "__init__.py"
    file.write_text("a = 1")
    assert running.next() == str(file)
    os.utime(file, ns=(1, 1))
    assert running.next() == str(file)
    running.none()


def test_an_editor_that_writes_by_renaming_makes_one_change(watched, watch):
    running = watch(package="watched_of_test")
    (watched / "4913").write_text("new")
    os.rename(watched / "4913", watched / "__init__.py")
    assert running.next() == str(watched / "__init__.py")
    running.none()


def test_new_and_deleted_files_of_a_package_are_changes(watched, watch):
    running = watch(package="watched_of_test")
    (watched / "new.py").touch()
    assert running.next() == str(watched / "new.py")
    os.unlink(watched / "new.py")
    assert running.next() == str(watched / "new.py")


def test_what_python_writes_and_other_files_are_no_changes(watched, watch):
    running = watch(package="watched_of_test")
    (watched / "__pycache__").mkdir()
    (watched / "__pycache__" / "x.cpython-311.pyc").touch()
    (watched / "db.sqlite3").touch()
    running.none()


def test_a_module_that_is_forgotten_is_no_deletion(watched, watch):
    running = watch()
    package = sys.modules.pop("watched_of_test")
    running.none()
    running.none()
    sys.modules["watched_of_test"] = package


def test_a_module_that_is_imported_later_is_watched_from_then_on(watch, watched):
    package = sys.modules.pop("watched_of_test")
    file = watched / "__init__.py"
    running = watch()
    sys.modules["watched_of_test"] = package
    deadline = time.monotonic() + 10
    while str(file) not in running.watcher._snapshot.known:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.005)
    file.write_text("a = 1")
    assert running.next() == str(file)


def test_patterns_are_expanded_again_at_each_look(tmp_path, watch):
    (tmp_path / "t" / "sub").mkdir(parents=True)
    running = watch(extra_files=[str(tmp_path / "t" / "**" / "*.html")])
    (tmp_path / "t" / "sub" / "a.html").touch()
    assert running.next() == str(tmp_path / "t" / "sub" / "a.html")
    (tmp_path / "t" / "new").mkdir()
    running.none()  # the new directory is known by now
    (tmp_path / "t" / "new" / "b.html").touch()
    assert running.next() == str(tmp_path / "t" / "new" / "b.html")
    (tmp_path / "t" / "new" / "b.txt").touch()
    running.none()


def test_a_file_of_a_name_may_appear_later_with_its_directory(tmp_path, watch):
    running = watch(extra_files=[str(tmp_path / "conf" / "app.toml")])
    (tmp_path / "conf").mkdir()
    running.none()
    (tmp_path / "conf" / "app.toml").touch()
    assert running.next() == str(tmp_path / "conf" / "app.toml")


def test_what_a_symbolic_link_means_is_watched_and_where_it_leads_to(tmp_path, watch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.toml").write_text(name * len(name))
    link = tmp_path / "app.toml"
    link.symlink_to("one/app.toml")
    running = watch(extra_files=[str(link)])
    (tmp_path / "one" / "app.toml").write_text("something else")
    assert running.next() == str(link)
    (tmp_path / "next").symlink_to("two/app.toml")
    os.rename(tmp_path / "next", link)
    assert running.next() == str(link)
    running.none()


def test_a_watcher_is_a_daemon_thread(watch):
    watch()
    (thread,) = [each for each in threading.enumerate() if each.name == "ostler-watch"]
    assert thread.daemon


# -- engines


def test_auto_is_inotify_where_there_is_one(tmp_path):
    (tmp_path / "marker").touch()
    running = Watch(tmp_path / "marker")
    assert (running.watcher.engine, running.notices) == (ENGINES[-1], [])
    running.end()


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_what_no_event_tells_is_found_by_a_look_now_and_then(tmp_path, monkeypatch):
    """A link to a directory that comes to mean another one."""
    monkeypatch.setattr("ostler.process.watch.SWEEP_S", 0.05)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.toml").write_text(name)
    os.utime(tmp_path / "one" / "app.toml", ns=(1, 1))
    (tmp_path / "current").symlink_to("one")
    (tmp_path / "aside").mkdir()
    running = Watch(tmp_path / "aside" / "marker", engine="inotify", extra_files=[str(tmp_path / "current/app.toml")])
    try:
        (tmp_path / "next").symlink_to("two")
        os.rename(tmp_path / "next", tmp_path / "current")
        assert running.next() == str(tmp_path / "current/app.toml")
    finally:
        running.end()


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_files_of_one_save_are_one_change(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    events = DirectoryEvents()
    events.follow([str(first), str(second)], [])
    pauses = []

    class Poller:
        """The poll of the system; the second file is written during the pause after the first one's event."""

        def __init__(self):
            self.real = select.poll()
            self.registered = False

        def register(self, fd, mask):
            self.registered = True
            self.real.register(fd, mask)

        def poll(self, timeout_ms):
            if self.registered:
                return self.real.poll(timeout_ms)
            pauses.append(timeout_ms)
            second.touch()
            return []

    monkeypatch.setattr("ostler.process.watch._poll", Poller)
    first.touch()
    assert events.wait(10)
    assert pauses == [50]
    assert not events.wait(0)
    events.close()


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_events_that_were_lost_matter():
    events = DirectoryEvents()
    assert events._matters(inotify.Change(-1, inotify.Q_OVERFLOW, ""))
    events.close()


def test_a_directory_that_is_made_again_is_watched_again(tmp_path, watch):
    directory = tmp_path / "conf"
    directory.mkdir()
    running = watch(extra_files=[str(directory / "a.toml")])
    os.rmdir(directory)
    running.none()
    directory.mkdir()
    running.none()
    (directory / "a.toml").touch()
    assert running.next() == str(directory / "a.toml")


@pytest.mark.parametrize(
    ("number", "cure"),
    [(errno.ENOSPC, "raise fs.inotify.max_user_watches"), (errno.EMFILE, "raise fs.inotify.max_user_instances")],
)
@pytest.mark.parametrize("what", ["queues", "watches"])
def test_where_the_kernels_limits_are_reached_files_are_polled_and_one_line_says_so(
    tmp_path, monkeypatch, number, cure, what
):
    class Exhausted(inotify.Inotify):
        def __init__(self):
            if what == "queues":
                raise OSError(number, os.strerror(number))
            super().__init__()

        def add(self, directory, mask):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(inotify, "Inotify", Exhausted)
    marker = tmp_path / "marker"
    marker.touch()
    running = Watch(marker, engine="inotify")
    try:
        assert running.watcher.engine == "poll"
        running.none()
        (notice,) = running.notices
        expected = f'error="{os.strerror(number).lower()}" cure="{cure}"'
        assert notice == f"inotify cannot be used, files are polled instead {expected}"
    finally:
        running.end()
