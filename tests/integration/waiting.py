"""Waiting on a condition with a deadline: the only way an integration test waits."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
POLL_S = 0.01


def wait_until(condition: Callable[[], Found], what: str, deadline_s: float = 10.0) -> Found:
    """Return the first true value of `condition()`; fail, saying `what` did not come, after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain until {what}")
        time.sleep(POLL_S)
