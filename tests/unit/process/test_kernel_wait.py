"""process/kernel_wait.py: what /proc shows of a task, in a directory that the test has made."""

import os

import pytest

from ostler.process.kernel_wait import reason, stack


def own(root, pid=None):
    """/proc/self."""
    link = root / "proc" / "self"
    link.unlink(missing_ok=True)
    link.symlink_to(str(pid or os.getpid()))


def task(root, pid, number, state, wchan="0"):
    place = root / "proc" / str(pid) / "task" / str(number)
    place.mkdir(parents=True)
    own(root)
    (place / "stat").write_text(f"{number} (a ) b) {state} 1 2 3\n")
    (place / "wchan").write_text(wchan)


@pytest.mark.parametrize(
    ("state", "wchan", "cause"),
    [
        ("D", "rpc_wait_bit_killable", "a network or FUSE file system"),
        ("D", "request_wait_answer", "a network or FUSE file system"),
        ("D", "fuse_simple_request", "a network or FUSE file system"),
        ("D", "io_schedule", "a disk"),
        ("D", "__refrigerator", "its cgroup is frozen"),
        ("D", "do_freezer_trap", "its cgroup is frozen"),
        ("t", "ptrace_stop", "a debugger holds it"),
        ("D", "0", "mostly for a file system or a device"),
    ],
)
def test_cause_and_cure_by_the_functions_name(tmp_path, state, wchan, cause):
    task(tmp_path, 42, 42, state, wchan)
    found = reason(42, str(tmp_path))
    assert (found.task, found.state) == (42, state)
    assert found.wchan == (wchan if wchan != "0" else "-")
    assert cause in found.cause
    assert ("thaw" in found.cure) == ("frozen" in found.cause)


def test_the_thread_that_sleeps_is_found_behind_one_that_has_ended(tmp_path):
    task(tmp_path, 42, 42, "Z")
    task(tmp_path, 42, 57, "D", "nfs_wait_bit_killable")
    assert reason(42, str(tmp_path)).task == 57


def test_of_a_process_that_is_gone_or_where_there_is_no_proc_nobody_says(tmp_path):
    assert reason(42, str(tmp_path)) is None
    task(tmp_path, 42, 42, "Z")
    assert reason(42, str(tmp_path)) is None


def test_the_proc_of_another_namespace_shows_strangers(tmp_path):
    task(tmp_path, 42, 42, "D")
    own(tmp_path, os.getpid() + 1)
    assert reason(42, str(tmp_path)) is None


def test_stack_and_system_call(tmp_path):
    place = tmp_path / "proc" / "57"
    place.mkdir(parents=True)
    assert stack(57, str(tmp_path)) == ""
    (place / "syscall").write_text("0 0x3 0x7f\n")
    (place / "stack").write_text("[<0>] rpc_wait\n[<0>] nfs_read\n")
    assert stack(57, str(tmp_path)) == "syscall: 0 0x3 0x7f\n[<0>] rpc_wait\n[<0>] nfs_read"
