"""How many descriptors this process may have open (getrlimit(2), RLIMIT_NOFILE).

A shell's soft limit is often 1024, less than the clients that `worker_connections` allows; the hard limit is the
administrator's word and stays.
"""

import contextlib
import resource
from typing import Final

SPARE: Final = 128
"""For listeners, logs, spill files, and what the application opens."""


def make_room_for(connections: int) -> int:
    """Raise the soft limit, if need be, so that `connections` clients fit; the limit that counts from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit of its own below an infinite one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return soft
