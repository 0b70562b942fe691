"""Whether the kernel's OOM killer was it: the counter of our cgroup, or of the machine, before and after a SIGKILL.

Memory: cgroups(7), the kernel's Documentation/admin-guide/cgroup-v2.rst (memory.events) and cgroup-v1/memory.rst
(memory.oom_control), proc_vmstat(5). Linux only; elsewhere nobody says.

Rules for editing: asked once for each death by SIGKILL, in the master; reads one small file.
"""

from typing import Final

from ostler.config.machine import capacity, oom_counter

_MEBIBYTE: Final = 1024 * 1024


class OomKiller:
    """Accounts for what it has killed: each one explains one death."""

    def __init__(self, root: str = "/") -> None:
        """root: where proc and sys are."""
        self._root = root
        self._counter = oom_counter(root)
        self._known = 0 if self._counter is None else (self._counter.read() or 0)

    def explain(self) -> str:
        """Who has sent a SIGKILL that the master has not, as a clause; empty when nobody can say."""
        counter = self._counter
        count = None if counter is None else counter.read()
        if counter is None or count is None:
            return ""
        if count <= self._known:
            killer = f"the kernel's OOM killer ({counter.where}: oom_kill={count})"
            return f"not sent by the master, nor by {killer}: somebody has sent it"
        self._known += 1
        limit = capacity(self._root).memory_bytes
        bound = "" if limit is None else f", limit {limit // _MEBIBYTE} MiB"
        return f"out of memory: the kernel's OOM killer has sent it ({counter.where}: oom_kill={count}{bound})"
