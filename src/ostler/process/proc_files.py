"""Whether /proc shows the processes of our own PID namespace, by the numbers that we know them by. proc(5).

A container may have none, or that of its host, in which our numbers are strangers'.

Rules for editing: asked again each time: somebody may mount one.
"""

import os

_readlink = os.readlink
_getpid = os.getpid


def are_ours(root: str = "/") -> bool:
    """Whether what is read below /proc/PID is of the process that we call PID. root: where proc is."""
    try:
        return _readlink(os.path.join(root, "proc/self")) == str(_getpid())
    except OSError:
        return False
