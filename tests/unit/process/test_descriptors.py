"""process/descriptors.py, in children: a limit that was lowered cannot be raised again."""

import os
import resource

import pytest

from ostler.process.descriptors import SPARE, make_room_for


def in_child(soft, hard, connections):
    """The limit that `make_room_for` returns under these limits, and the one that counts then."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        found = make_room_for(connections)
        os.write(writing, f"{found} {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return tuple(int(word) for word in answer.split())


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (256, 1024, 500 + SPARE),
        (256, 300, 300),
        (1000, 1024, 1000),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed_and_allowed(soft, hard, expected):
    assert in_child(soft, hard, 500) == (expected, expected)
