"""Binding this process to CPUs. sched_setaffinity(2): its threads that begin later are bound as well.

Rules for editing: which CPUs is config/affinity.py's; where it fails, the process goes on anywhere.
"""

import os
from collections.abc import Collection

from ostler.errors import reason_of


def bind_to(cpus: Collection[int]) -> str:
    """Use these CPUs only; none: whatever the system decides. Returns why that cannot be, "" where it was done."""
    if not cpus:
        return ""
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:  # the cpuset has changed since the configuration was read
        return reason_of(error)
    return ""
