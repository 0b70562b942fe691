"""Which lines have allocated the memory that is still in use: Python's tracemalloc, for `trace_memory`.

It knows what goes through Python's allocators: objects, texts, NumPy's arrays; not what C libraries take for
themselves. Code that does nothing but make objects takes about twenty times as long while it runs (measured: 11 times
with one frame, 20 with four, 32 with twelve), so it is on only where it was asked for, and only for a while.

Rules for editing: nothing here is called unless tracing is on, except `tracing` and `start`.
"""

import tracemalloc
from _tracemalloc import _get_traces  # what tracemalloc makes a Snapshot of, which takes ten times as long to read
from collections import Counter
from collections.abc import Callable
from typing import Final

_FRAMES: Final = 6
"""Kept of each allocation, so that what a library allocates is charged to the line that called it."""

Line = tuple[str, int]
"""File and number."""


def start() -> None:
    """From now on. Not anew when it runs already, for someone has started Python with it (PYTHONTRACEMALLOC)."""
    if not tracemalloc.is_tracing():
        tracemalloc.start(_FRAMES)


def tracing() -> bool:
    return tracemalloc.is_tracing()


def bytes_by_line(is_own: Callable[[str], bool], *, goes_on: bool = False) -> Counter[Line]:
    """Bytes in use by the line of the application that has led to their allocation: the innermost one of a file of
    which `is_own` is true. What no such line has led to is left out. Tracing ends here, unless it `goes_on`.

    Takes about a second for each million of objects.
    """
    traces = _get_traces()
    if not goes_on:
        tracemalloc.stop()  # what comes below makes many objects, too
    sizes: dict[int, int] = {}
    stacks = {}
    for _, size, frames, *_ in traces:
        # Equal stacks are one tuple, whose identity is found faster than its hash.
        at = id(frames)
        sizes[at] = sizes.get(at, 0) + size
        stacks[at] = frames
    found: Counter[Line] = Counter()
    for at, frames in stacks.items():
        own = next(((file, line) for file, line in frames if is_own(file)), None)  # the most recent call comes first
        if own is not None:
            found[own] += sizes[at]
    return found
