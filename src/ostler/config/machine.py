"""What this process may use of the machine, and how many workers that makes: `workers = "auto"` (failures L6).

The number of cores is the host's; a container's share of them is in its cgroup. What counts is the least of the CPUs
of the affinity mask, which a cpuset narrows, and of the quotas of our cgroup and of all above it (version 2: cpu.max;
version 1: cpu.cfs_quota_us), and for memory the least limit likewise (memory.max, and memory.high, above which
everything is slowed down; memory.limit_in_bytes). sched(7), cpuset(7), cgroups(7), the kernel's
Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, proc_pid_mountinfo(5).

Rules for editing: only files below `root` are read, so that tests can build their own. A file that is missing or says
something unknown means no limit: this is a guess about a good number, and no reason not to start.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

AUTO: Final = "auto"
"""The raw value of `workers`, and the read one until draft.py puts the number in its place."""

WORKER_BYTES: Final = 64 * 1024 * 1024
"""The memory that a worker is taken to need at least."""

_MEBIBYTE: Final = 1024 * 1024
_NO_LIMIT_BYTES: Final = 1 << 60  # version 1 says "none" by the greatest multiple of a page
_MEMORY_FILES: Final = (
    ("", "memory.max", "memory.current"),
    ("", "memory.high", "memory.current"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""By version: of the limit, and of what is used."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
# Where the mounts usually are, for a /proc without mountinfo.
_USUAL: Final = {
    "": ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
    "cpu": ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"),
    "memory": ("/sys/fs/cgroup/memory",),
}


@dataclass(frozen=True, slots=True)
class Capacity:
    """cpus: how many CPUs' time there is, 0.5 for half of one. memory_bytes: the limit; None when there is none."""

    cpus: float
    memory_bytes: int | None

    @property
    def workers(self) -> int:
        """Two for each CPU and one more, as far as memory goes; one at least."""
        wanted = 2 * math.ceil(self.cpus) + 1
        if self.memory_bytes is not None:
            wanted = min(wanted, self.memory_bytes // WORKER_BYTES)
        return max(1, wanted)

    def __str__(self) -> str:
        """For `--print-config`: `2 CPUs`, `0.5 CPUs, 256 MiB`."""
        cpus = f"{self.cpus:.2f}".rstrip("0").rstrip(".") + (" CPU" if self.cpus == 1 else " CPUs")
        return cpus if self.memory_bytes is None else f"{cpus}, {self.memory_bytes // _MEBIBYTE} MiB"


def capacity(root: str = "/", cores: int | None = None) -> Capacity:
    """Of this process. root: the directory in which /proc and /sys are. cores: those of the affinity mask."""
    groups = _Groups(Path(root))
    cpus = [float(_usable_cores() if cores is None else cores), *groups.cpu_quotas()]
    return Capacity(min(cpus), min(groups.memory_limits(), default=None))


@dataclass(frozen=True, slots=True)
class OomCounter:
    """The file that counts what the kernel's OOM killer has killed, and where that is."""

    path: Path
    where: str
    """"cgroup /shop", or "machine"."""

    def read(self) -> int | None:
        """How many processes so far; None: it does not say."""
        found = re.search(r"^oom_kill (\d+)$", _text(self.path), re.MULTILINE)
        return None if found is None else int(found[1])


class MemoryRoom:
    """How much of the memory limits of our cgroups is left. Made once, asked often: where the files are stays."""

    def __init__(self, root: str = "/") -> None:
        self._limits = list(_Groups(Path(root)).memory_files())

    def holds(self, more_bytes: int) -> bool:
        """Whether so much would fit below every limit; True where there is none, or the use is not known."""
        return all(_use(use, stat) + more_bytes <= limit for limit, use, stat in self._read())

    def _read(self) -> Iterator[tuple[int, str, str]]:
        for limit_file, use_file, stat_file in self._limits:
            limit = _number(_text(limit_file))
            if limit is not None and limit < _NO_LIMIT_BYTES:
                yield limit, _text(use_file), _text(stat_file)


def oom_counter(root: str = "/") -> OomCounter | None:
    """That of our cgroup (version 2: memory.events; version 1: memory.oom_control), else the machine's (vmstat)."""
    groups = _Groups(Path(root))
    candidates = [
        OomCounter(path, f"cgroup {groups.name_of(controller)}")
        for controller, name in (("", "memory.events"), ("memory", "memory.oom_control"))
        for path in groups.own_files(controller, name)
    ]
    candidates.append(OomCounter(Path(root) / "proc/vmstat", "machine"))
    return next((counter for counter in candidates if counter.read() is not None), None)


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux
        return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted hierarchy of cgroups: `top` is the cgroup that is seen at `point`."""

    top: str
    point: str


class _Groups:
    """Our cgroups, from our own one up to the highest that can be seen. "" stands for version 2, which is one tree."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._own = dict(self._memberships())
        self._mounts = self._mounted()

    def cpu_quotas(self) -> Iterator[float]:
        """In CPUs."""
        for group in self._upwards(""):
            match _text(group / "cpu.max").split():
                case [quota, period]:
                    yield from _quota(quota, period)
        for group in self._upwards("cpu"):
            yield from _quota(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))

    def memory_limits(self) -> Iterator[int]:
        """In bytes."""
        for limit_file, _, _ in self.memory_files():
            limit = _number(_text(limit_file))
            if limit is not None and limit < _NO_LIMIT_BYTES:
                yield limit

    def memory_files(self) -> Iterator[tuple[Path, Path, Path]]:
        """Of each cgroup from ours upwards: the files of its limit, of what it uses, and of what that consists of."""
        for controller, limit, use in _MEMORY_FILES:
            for group in self._upwards(controller):
                yield group / limit, group / use, group / "memory.stat"

    def name_of(self, controller: str) -> str:
        """The path of our cgroup."""
        return self._own.get(controller, "/")

    def own_files(self, controller: str, name: str) -> Iterator[Path]:
        """Files of this name, of our own cgroup alone."""
        for mount in self._mounts.get(controller) or [_Mount("/", point) for point in _USUAL[controller]]:
            yield self._place(mount.point, _below(self.name_of(controller), mount.top)) / name

    def _upwards(self, controller: str) -> Iterator[Path]:
        for mount in self._mounts.get(controller) or [_Mount("/", point) for point in _USUAL[controller]]:
            below = _below(self._own.get(controller, "/"), mount.top)
            yield self._place(mount.point, below)
            yield from (self._place(mount.point, parent) for parent in below.parents)

    def _place(self, point: str, group: PurePosixPath) -> Path:
        return self._root / point.lstrip("/") / group

    def _memberships(self) -> Iterator[tuple[str, str]]:
        """(controller, path) of the lines of /proc/self/cgroup: `4:cpu,cpuacct:/shop`, in version 2 `0::/shop`."""
        for line in _text(self._root / "proc/self/cgroup").splitlines():
            match line.split(":", 2):
                case [_, controllers, path]:
                    yield from ((controller, path) for controller in controllers.split(","))

    def _mounted(self) -> dict[str, list[_Mount]]:
        """By controller, in the order of /proc/self/mountinfo."""
        found: dict[str, list[_Mount]] = {}
        for line in _text(self._root / "proc/self/mountinfo").splitlines():
            place, _, kind = line.partition(" - ")
            match place.split(), kind.split():
                case [_, _, _, top, point, *_], ["cgroup2", *_]:
                    found.setdefault("", []).append(_Mount(_unescaped(top), _unescaped(point)))
                case [_, _, _, top, point, *_], ["cgroup", _, options]:
                    for controller in {"cpu", "memory"} & set(options.split(",")):
                        found.setdefault(controller, []).append(_Mount(_unescaped(top), _unescaped(point)))
        return found


def _below(own: str, top: str) -> PurePosixPath:
    """Where our cgroup is below a mount that shows `top`; the mount itself when it does not show ours.

    A container sees its own cgroup at the mount, while the path may still be the host's, or lead out by "..".
    """
    path = PurePosixPath(own)
    if path.is_relative_to(top) and ".." not in path.parts:
        return path.relative_to(top)
    return PurePosixPath()


def _quota(quota: str, period: str) -> Iterator[float]:
    """In CPUs, from microseconds in each period of so many; none from "max" and -1."""
    used_us, period_us = _number(quota), _number(period)
    if used_us is not None and period_us is not None and used_us > 0 and period_us > 0:
        yield used_us / period_us


def _use(use: str, stat: str) -> int:
    """In bytes, without the page cache that the kernel would let go of first."""
    cache = re.search(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
    return max(0, (_number(use) or 0) - (0 if cache is None else int(cache[1])))


def _number(text: str) -> int | None:
    """None for "max", and for what is no number."""
    try:
        return int(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError):
        return ""


def _unescaped(path: str) -> str:
    """proc_pid_mountinfo(5): blanks and backslashes are octal."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path)
