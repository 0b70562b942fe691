"""`cpu_affinity`: which CPUs the worker of each slot may use, read from text. sched_setaffinity(2), cpuset(7).

    ""                  the system decides
    "auto"              each slot one of the CPUs that this process may use, in turn
    "0-1; 2,3"          slots 0, 2, 4 ... use the CPUs 0 and 1, slots 1, 3, 5 ... the CPUs 2 and 3

Rules for editing: pure but for the question which CPUs this process may use.
"""

import os
import re
import sys
from collections.abc import Sequence
from typing import Final

from ostler.config.parse import BadValue

AUTO: Final = "auto"
_RANGE: Final = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", re.ASCII)
_EXPECTED: Final = '"auto", or CPUs of each slot as in "0-1; 2,3" or ["0-1", "2,3"]'

Sets = tuple[frozenset[int], ...]
"""Of slot 0, of slot 1, ...; beyond the last one from the beginning again. Empty: the system decides."""


def usable() -> frozenset[int]:
    """The CPUs that this process may use; empty where the system does not tell (anything but Linux)."""
    if sys.platform != "linux":
        return frozenset()
    return frozenset(os.sched_getaffinity(0))


def read_affinity(raw: object) -> Sets:
    """Raises BadValue: CPUs that do not exist, or that this process may not use."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return ()
    entries = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(entries, Sequence):
        raise BadValue(_EXPECTED, raw)
    if not entries:
        return ()
    available = usable()
    if not available:
        raise BadValue("nothing: this system binds no process to a CPU", raw, "leave cpu_affinity out")
    if [entry.strip().lower() for entry in entries if isinstance(entry, str)] == [AUTO]:
        return tuple(frozenset((cpu,)) for cpu in sorted(available))
    sets = tuple(_cpus(entry, raw) for entry in entries)
    missing = sorted(frozenset().union(*sets) - available)
    if missing:
        cure = f"this process may not use {_text(missing)} (taskset, cpuset), or there is no such CPU"
        raise BadValue(f"CPUs out of {_text(sorted(available))}", raw, cure)
    return sets


def of_slot(sets: Sets, slot: int) -> frozenset[int]:
    """Empty: the system decides."""
    return sets[slot % len(sets)] if sets else frozenset()


def _cpus(entry: object, raw: object) -> frozenset[int]:
    if isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0:
        return frozenset((entry,))
    if not isinstance(entry, str):
        raise BadValue(_EXPECTED, raw)
    found: set[int] = set()
    for part in entry.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise BadValue(_EXPECTED, raw)
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise BadValue(_EXPECTED, raw)
        found.update(range(first, last + 1))
    return frozenset(found)


def _text(cpus: Sequence[int]) -> str:
    """`0-3,8`."""
    parts: list[list[int]] = []
    for cpu in cpus:
        if parts and parts[-1][1] == cpu - 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
