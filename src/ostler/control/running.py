"""Which masters run on this machine, by their abstract names: /proc/net/unix (proc(5)); and who is whose parent.

Rules for editing: a name may be held by anybody, so whoever listens is asked for its credentials; what cannot be known
is not there, never an error.
"""

import os
import re
from typing import Final

from ostler.control.address import names_of
from ostler.control.client import connect, may_answer

_LISTENS: Final = 0x10000  # __SO_ACCEPTCON of the kernel
_LIMIT_MASTERS: Final = 200
_NAME: Final = re.compile(r"^@ostler/(\d+)(?:@\d+)?$")
_TITLE_CHARACTERS: Final = 80

_geteuid = os.geteuid
_open = open


def running_masters() -> list[int]:
    """Those that run as we do; where there are none, those that we may ask. In the order of their pids."""
    found = {pid: uid for pid in _named() if (uid := _uid_of_master(pid)) is not None}
    ours = sorted(pid for pid, uid in found.items() if uid == _geteuid())
    return ours or sorted(found)


def is_master(which: int | str) -> bool:
    """Whether a master that we may ask answers there: a pid, or the path of a control socket."""
    if isinstance(which, int):
        return _uid_of_master(which) is not None
    try:
        sock, peer = connect(which)
    except OSError:
        return False
    sock.close()
    return may_answer(peer.uid)


def parent_of(pid: int) -> int:
    """0: there is no such process, or nobody says."""
    stat = _text(f"/proc/{pid}/stat")
    words = stat.rpartition(")")[2].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def described(pid: int) -> str:
    """`4242 (gunicorn: master [shop])`."""
    title = " ".join(_text(f"/proc/{pid}/cmdline").replace("\0", " ").split())
    printable = "".join(each if each.isprintable() else "?" for each in title)
    return f"{pid} ({printable[:_TITLE_CHARACTERS]})" if printable else str(pid)


def _named() -> list[int]:
    """Of every name like ours that somebody listens at, here or in another container."""
    found = set()
    for line in _text("/proc/net/unix").splitlines()[1:]:
        words = line.split(None, 7)
        name = _NAME.match(words[7]) if len(words) == 8 else None
        if name and int(words[3], 16) & _LISTENS:
            found.add(int(name[1]))
    return sorted(found)[:_LIMIT_MASTERS]


def _uid_of_master(pid: int) -> int | None:
    if not 0 < pid < 2**31:
        return None
    for name in names_of(pid):
        try:
            sock, peer = connect(name)
        except OSError:
            continue
        sock.close()
        if peer.pid == pid and may_answer(peer.uid):
            return peer.uid
    return None


def _text(path: str) -> str:
    try:
        with _open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
