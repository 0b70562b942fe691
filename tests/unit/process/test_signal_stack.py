"""Many signals at once, in a process of its own: a crash must not be this one's."""

import subprocess
import sys

import pytest

MANY = """
import faulthandler, os, signal, sys, time
faulthandler.register(signal.SIGRTMIN + 7, file=2)
if sys.argv[1] == "wide":
    from ostler.process import signal_stack
    assert signal_stack.widen() and signal_stack.widen()
many = [number for number in sorted(signal.valid_signals()) if number not in
        (9, 19, 17, 18, 11, 4, 6, 7, 8, 20, 21, 22) and number <= signal.SIGRTMIN + 20]
for number in many:
    signal.signal(number, lambda *_: None)
mask = signal.pthread_sigmask(signal.SIG_BLOCK, many)
for number in many:
    os.kill(os.getpid(), number)
signal.pthread_sigmask(signal.SIG_SETMASK, mask)
print("alive", len(many))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sigaltstack(2) is asked for by its Linux layout")
def test_a_wide_stack_takes_all_signals_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", MANY, "wide"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["alive"]), done.stderr
