"""process/thread_wait.py: what a thread does whose line stands still, as the kernel of this machine says."""

import os
import sys
import threading
import time

import pytest

from ostler.observe.causes import Cause
from ostler.observe.diagnosis import Evidence, find
from ostler.process import thread_wait
from ostler.process.thread_wait import of_thread

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")

STACK = 'Thread 0x0 (most recent call first):\n  File "app.py", line 3 in page\n'


@pytest.fixture
def thread():
    """thread(work): a thread that does it, whose ident is returned; it has to end when `over` is set."""
    over = threading.Event()
    made = []

    def start(work):
        made.append(threading.Thread(target=work, args=(over,), daemon=True))
        made[-1].start()
        return made[-1].ident

    yield start
    over.set()
    for each in made:
        each.join(10)


def cause_of(ident):
    """Of several looks: a machine that is busy may let a thread do nothing for a while."""
    for _ in range(50):
        waits = of_thread(ident)
        if waits[0]:
            return find(STACK, ["/srv"], Evidence(waits)).cause
    return pytest.skip("the kernel of this machine does not tell what threads do")


def test_a_thread_that_waits_for_a_lock(thread):
    lock = threading.Lock()

    def work(over):
        while not over.is_set():
            lock.acquire(timeout=0.3)

    with lock:
        found = cause_of(thread(work))
    assert found in (Cause.DEADLOCK, Cause.HANG)  # HANG: the kernel of this machine hides where threads sleep


def test_a_thread_that_computes_does_not_wait_for_a_lock(thread):
    def work(over):
        while not over.is_set():
            pass

    assert cause_of(thread(work)) is Cause.BUSY_LOOP


def test_a_thread_that_sleeps(thread):
    def work(over):
        while not over.is_set():
            time.sleep(0.3)

    assert cause_of(thread(work)) in (Cause.SLEEP, Cause.HANG)


def test_nobody_knows_a_thread_that_is_gone():
    assert of_thread(1) == ("", "")


def test_the_main_thread_of_a_process_that_was_forked_is_found() -> None:
    """Python 3.11 has the number there that it had in the parent."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if thread_wait._task(threading.get_ident()) == os.getpid() else 1)
    assert os.waitpid(pid, 0)[1] == 0
