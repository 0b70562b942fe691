"""process/descendants.py, on real processes of this test."""

import os
import subprocess
import sys

import pytest

from ostler.process import descendants as module
from ostler.process import proc_files
from ostler.process.descendants import Descendant, descendants

if not sys.platform.startswith("linux"):
    pytest.skip("descendants are found in /proc: Linux only", allow_module_level=True)

FAMILY = "sleep 1000 & sh -c 'sleep 1000 & echo ready; wait' & wait"


@pytest.fixture
def family():
    """A shell with a child, and another one with a grandchild."""
    with subprocess.Popen(["sh", "-c", FAMILY], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        left = descendants(process.pid)
        yield process
        process.kill()
        for each in left:
            each.kill()
            each.close()


@pytest.fixture(params=["pidfd", "start time"])
def way(request, monkeypatch):
    if request.param == "start time":
        monkeypatch.setattr(module, "_pidfd_open", None)
    elif module._pidfd_open is None:
        pytest.skip("this system has no pidfd_open(2)")


@pytest.fixture(params=["children", "parents"])
def place(request, monkeypatch):
    """Kernels without CONFIG_PROC_CHILDREN: every process is asked for its parent."""
    if request.param == "parents":
        read = module._read
        monkeypatch.setattr(module, "_read", lambda path: None if path.endswith("/children") else read(path))


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_all_below_a_process_are_found_parents_first(family, way, place):
    found = [each.pid for each in family_of(family)]
    assert len(found) == 3
    parents = [parent_of(pid) for pid in found]
    assert sorted(parents[:2]) == [family.pid, family.pid], "the grandchild comes after its parent"
    assert parents[2] in found[:2]


def family_of(process):
    """All that are below, which are not held any more."""
    found = descendants(process.pid)
    for each in found:
        each.close()
    return found


def test_they_are_killed_after_their_ancestor(family, way):
    found = descendants(family.pid)
    family.kill()
    family.wait()
    assert [each.kill() for each in found] == [True, True, True]
    assert family.stdout.read() == b"", "nobody holds the pipe any more"
    for each in found:
        each.close()


def test_a_stranger_with_the_number_of_a_descendant_is_left_alone(family):
    (first, *rest) = descendants(family.pid)
    stranger = Descendant(family.pid, first.started + 1_000_000)
    assert not stranger.kill()
    assert family.poll() is None
    for each in (first, *rest):
        each.close()


def test_of_a_process_that_is_gone_nothing_is_below():
    with subprocess.Popen(["true"]) as process:
        pass
    assert descendants(process.pid) == []


def test_without_proc_nothing_is_found(monkeypatch):
    def denied(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(module, "_listdir", denied)
    assert descendants(os.getpid()) == []


def test_the_proc_of_another_namespace_shows_strangers(family, monkeypatch):
    monkeypatch.setattr(proc_files, "_getpid", lambda: os.getpid() + 1)
    assert descendants(family.pid) == []
