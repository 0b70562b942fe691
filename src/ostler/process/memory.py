"""How much memory a process has in RAM: RSS and PSS, from /proc (proc(5)); nothing where there is no /proc.

RSS counts every resident page in full, also those that it shares with others. PSS divides a shared page by the number
of processes that have it mapped, so that the PSS of a master, a mold and their workers may be added up.

Rules for editing: RSS is read each second by every worker, so it stays one small file; PSS makes the kernel walk all
pages of the process (milliseconds for hundreds of megabytes), so the master has a child read that of others. What
cannot be known is None, never an error and never 0.
"""

import resource
from collections.abc import Iterable
from typing import Final

_KIB: Final = 1024
_PAGE_BYTES: Final = resource.getpagesize()

_open = open


def rss_bytes(pid: int | None = None) -> int | None:
    """Resident memory of process `pid`, None meaning this one, in bytes. None when there is no such process (a dead one
    that nobody has reaped counts as none), no /proc, or no permission.

    The kernel adds up per CPU, so the number may be wrong by some hundred KiB.
    """
    text = _read(pid, "statm")
    if text is None:
        return None
    try:
        return int(text.split()[1]) * _PAGE_BYTES or None
    except (IndexError, ValueError):
        return None


def own_bytes(pid: int) -> int | None:
    """Resident memory of a process that is no file's: about what one more of its kind would need. None as in
    `rss_bytes`.
    """
    try:
        _, resident, shared, *_ = (_read(pid, "statm") or b"").split()
        return max(0, int(resident) - int(shared)) * _PAGE_BYTES
    except ValueError:
        return None


def pss_bytes(pid: int | None = None) -> int | None:
    """Memory of process `pid`, None meaning this one, its part of shared pages included, in bytes. None as in
    `rss_bytes`; the PSS of another user's process is known to root only.
    """
    text = _read(pid, "smaps_rollup")
    for line in (text or b"").splitlines():
        if line.startswith(b"Pss:"):
            try:
                return int(line.split()[1]) * _KIB or None
            except (IndexError, ValueError):
                return None
    return None


def total_pss_bytes(pids: Iterable[int]) -> int | None:
    """PSS of these processes together, in bytes; those that are gone count nothing. None when it is known of none."""
    known = [pss for pss in map(pss_bytes, pids) if pss is not None]
    return sum(known) if known else None


def _read(pid: int | None, name: str) -> bytes | None:
    try:
        with _open(f"/proc/{'self' if pid is None else pid}/{name}", "rb", buffering=0) as file:
            return file.read()
    except OSError:  # ENOENT, ESRCH: gone; EACCES: another user's
        return None
