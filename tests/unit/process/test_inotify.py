import errno
import os
import select
import sys

import pytest

from ostler.process import inotify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def queue():
    made = inotify.Inotify()
    yield made
    made.close()


def test_changes_of_entries_are_told_with_their_names(queue, tmp_path):
    watch = queue.add(str(tmp_path), inotify.CREATE | inotify.CLOSE_WRITE | inotify.ONLYDIR)
    assert queue.add(str(tmp_path), inotify.CREATE | inotify.CLOSE_WRITE | inotify.ONLYDIR) == watch
    assert queue.take() == []
    (tmp_path / "a.py").write_text("x")
    os.mkdir(tmp_path / "sub")
    (tmp_path / os.fsdecode(b"\xff")).touch()
    assert select.select([queue], [], [], 5)[0]
    found = [(each.mask, each.name) for each in queue.take() if each.watch == watch]
    assert found == [
        (inotify.CREATE, "a.py"),
        (inotify.CLOSE_WRITE, "a.py"),
        (inotify.CREATE | inotify.ISDIR, "sub"),
        (inotify.CREATE, "\udcff"),
        (inotify.CLOSE_WRITE, "\udcff"),
    ]


def test_a_directory_that_is_removed_ends_its_watch(queue, tmp_path):
    os.mkdir(tmp_path / "sub")
    watch = queue.add(str(tmp_path / "sub"), inotify.DELETE_SELF)
    os.rmdir(tmp_path / "sub")
    assert [(each.watch, each.mask) for each in queue.take()] == [
        (watch, inotify.DELETE_SELF),
        (watch, inotify.IGNORED),
    ]


def test_what_cannot_be_watched_is_an_os_error_with_its_number(queue, tmp_path):
    (tmp_path / "file").touch()
    for name, number in [("absent", errno.ENOENT), ("file", errno.ENOTDIR)]:
        with pytest.raises(OSError, match="directory") as caught:
            queue.add(str(tmp_path / name), inotify.CREATE | inotify.ONLYDIR)
        assert caught.value.errno == number


def test_the_descriptor_does_not_survive_exec(queue):
    assert not os.get_inheritable(queue.fileno())
