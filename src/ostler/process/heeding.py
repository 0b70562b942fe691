"""Which signals a process catches or holds back, by /proc/PID/status (proc(5)): of all others the default is done.

Rules for editing: called in the master: the kernel answers this file at once, whatever the process does.
"""

import sys

_open = open


def heeds(pid: int, number: int) -> bool:
    """Whether the process catches the signal, or holds it back for now (as one of ours that has just been forked does).

    Where there is no /proc nobody knows, and every process of ours is believed to.
    """
    try:
        with _open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            lines = file.read().splitlines()
    except OSError:
        return sys.platform != "linux"
    masks = [line.partition(b":")[2] for line in lines if line.startswith((b"SigBlk:", b"SigCgt:"))]
    return any(int(mask, 16) & (1 << (number - 1)) for mask in masks)
