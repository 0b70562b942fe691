"""Where in a call `RequestTimeout` may be raised: a thread's frames say where it is.

Only where the application's own code runs: not in ours, which it has called (`wsgi.input`, `write`, a log), and not
when the call is over. Nor where a lock changes hands: an exception between `acquire()` and the `try` behind it would
leave it locked, for everybody and for ever. Both `logging` and `queue` take their locks in this way, and the import
system. A `with` over a lock of the system's needs no care: between its acquisition and its block nothing is raised.

Rules for editing: for calls whose time is up only. Where it is refused, it is tried again a moment later.
"""

import dis
from types import FrameType
from typing import Final

from ostler.app.wsgi import WsgiAdapter

SERVE: Final = WsgiAdapter.serve.__code__
"""What of ours calls the application."""

_HANDS: Final = frozenset(
    (
        *("__enter__", "__exit__", "acquire", "release", "_acquireLock", "_releaseLock"),
        *("_acquire_restore", "_release_save", "_is_owned"),
    )
)
"""Functions in which a lock (or whatever else is returned in the end) changes hands."""
_TAKES: Final = frozenset(("acquire", "acquire_lock", "__enter__"))
_IMPORT: Final = "importlib._bootstrap"


def in_application(frame: FrameType | None) -> bool:
    """Whether this stack is that of a call, and nothing of it is ours below the application."""
    ours: list[bool] = []
    while frame is not None and frame.f_code is not SERVE:
        name = frame.f_globals.get("__name__", "")
        ours.append(name == "ostler" or name.startswith("ostler."))
        frame = frame.f_back
    if frame is None:
        return False
    while ours and ours[-1]:
        ours.pop()
    return bool(ours) and not any(ours)


def may_raise(frame: FrameType | None, waits: bool) -> bool:
    """Whether it may come at this bytecode. `waits`: that sleeps in the kernel, and is woken up: who waits for a lock
    has not got it then. Else it comes when the bytecode is done, with whatever that has taken.
    """
    if frame is None or not in_application(frame) or _finalizes(frame):
        return False
    return waits or not (_passes_on(frame) or _takes(frame))


def _passes_on(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return frame.f_code.co_name in _HANDS or name == _IMPORT


def _finalizes(frame: FrameType | None) -> bool:
    """In a finalizer an exception is lost."""
    while frame is not None and frame.f_code is not SERVE:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _takes(frame: FrameType) -> bool:
    """Whether its present line calls something that takes a lock."""
    code, line = frame.f_code, frame.f_lineno
    if _TAKES.isdisjoint(code.co_names):
        return False
    return any(
        instruction.argval in _TAKES and instruction.positions is not None and instruction.positions.lineno == line
        for instruction in dis.get_instructions(code)
        if instruction.opcode in dis.hasname
    )
