"""A network and a /var/log for one module of tests: files that name port 8000 or /var/log/gunicorn run as they are.

Namespaces (unshare(2), setns(2)) belong to a thread: the tests' own thread enters the network, and every process and
thread that it starts is in it. /var/log is another one for the server alone, by unshare(1). Both take root; where they
are not to be had, `own_network` says so and the tests replace ports and paths instead.

Rule for editing: whatever happens, the thread goes back to the network that it came from.
"""

import contextlib
import ctypes
import fcntl
import functools
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1

# $0 becomes /var/log for the command that follows. No program is looked up in the server's PATH, which a test may set.
_UNSHARE: Final = shutil.which("unshare") or "unshare"
_MOUNT: Final = shutil.which("mount") or "mount"
WITH_LOGS: Final = (_UNSHARE, "--mount", "/bin/sh", "-c", f'{_MOUNT} --bind "$0" /var/log && exec "$@"')

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def own_network() -> Iterator[bool]:
    """Whether the calling thread is now alone with a loopback of its own; back in its old network at the end."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if not may_mount() or _libc.unshare(CLONE_NEWNET) != 0:
            yield False
            return
        try:
            start_loopback()
            yield True
        finally:
            if _libc.setns(before, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns: the tests cannot go back to their network")
    finally:
        os.close(before)


def start_loopback() -> None:
    """As `ip link set lo up`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


@functools.cache
def may_mount() -> bool:
    """Whether WITH_LOGS works here, tried with what changes nothing."""
    try:
        tried = subprocess.run([*WITH_LOGS, "/var/log", "true"], capture_output=True, timeout=10, check=False)
    except OSError:
        return False
    return tried.returncode == 0


def listens_everywhere(port: int) -> bool:
    """Whether a socket of this network listens on 0.0.0.0:port."""
    rows = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    return any(row[1] == f"00000000:{port:04X}" and row[3] == "0A" for row in rows)
