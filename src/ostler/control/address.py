"""Where a master's control socket is: an abstract name on Linux (unix(7)), elsewhere a file in the temporary directory.

An abstract name needs no file, no rights and no cleaning up, and is gone with the last process that holds it. Two
containers may share a network, and with it these names: the pid namespace keeps their masters apart.

Rules for editing: both sides find the same name from nothing but the pid.
"""

import os
import sys
import tempfile
from typing import Final

_NAMESPACE: Final = "/proc/self/ns/pid"


def names_of(pid: int) -> tuple[str, ...]:
    """Addresses of the master `pid`, the best first: the one that it listens on, and those that a command tries."""
    if sys.platform != "linux":
        return (os.path.join(tempfile.gettempdir(), f"ostler-{pid}.sock"),)
    plain = f"\0ostler/{pid}"
    try:
        namespace = os.stat(_NAMESPACE).st_ino
    except OSError:  # no /proc here
        return (plain,)
    return (f"{plain}@{namespace}", plain)
