"""process/threads.py: the threads of this process, and those that a fork would lose."""

import _thread
import os
import threading
from pathlib import Path

import pytest

from ostler.process import threads
from ostler.process.threads import native_threads, other_threads, task_count

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


def in_child(answer: object) -> str:
    """What `answer` says in a process with one thread."""
    assert callable(answer)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, repr(answer()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


def test_a_process_with_one_thread_has_no_others() -> None:
    assert in_child(lambda: (task_count(), other_threads())) == "(1, ())"


def test_python_s_threads_are_told_by_their_names() -> None:
    def answer() -> tuple[str, ...]:
        threading.Thread(target=threading.Event().wait, name="reporter", daemon=True).start()
        return other_threads()

    assert in_child(answer) == "('reporter',)"


def test_a_thread_that_python_does_not_know_has_the_system_s_name() -> None:
    def answer() -> tuple[object, ...]:
        begun = threading.Event()
        _thread.start_new_thread(lambda: (begun.set(), threading.Lock().acquire(), threading.Event().wait()), ())
        begun.wait()
        comm = Path("/proc/self/comm").read_text().strip()
        return task_count(), native_threads() == (comm,), threads._unknown() != {}

    assert in_child(answer) == "(2, True, True)"


def test_a_thread_that_ends_when_the_process_forks_is_no_hindrance() -> None:
    """As OpenBLAS's: its library stops it before each fork."""

    def answer() -> tuple[object, ...]:
        over, begun, ended = threading.Event(), threading.Event(), threading.Lock()
        ended.acquire()

        def run() -> None:
            begun.set()
            over.wait()
            ended.release()

        _thread.start_new_thread(run, ())
        begun.wait()

        def stop() -> None:
            over.set()
            ended.acquire()
            while (task_count() or 1) > 1:
                pass

        os.register_at_fork(before=stop)
        return len(threads._unknown()), native_threads()

    assert in_child(answer) == "(1, ())"


def test_without_proc_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_TASKS", "/nowhere")
    assert native_threads() == ()
    assert task_count() is None
