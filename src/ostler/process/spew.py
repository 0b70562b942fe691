"""The `spew` setting: each line of Python that is executed, written to standard output. sys.settrace, for debugging.

Rules for editing: a trace function that raises ends the tracing and raises in the code that is traced, so nothing may
leave `_Spew.__call__`. Lines go to the descriptor and not to sys.stdout: the application may have put anything there,
and a line must not be lost with a buffer when the process dies.
"""

import contextlib
import linecache
import re
import sys
import threading
from reprlib import Repr
from types import FrameType
from typing import Any, Final

from ostler import real

_write = real.write

_WORD: Final = re.compile(r"[^\W\d]\w*")
_STDOUT: Final = 1
_LIMIT_VALUE_CHARACTERS: Final = 200


def spew(values: bool = False) -> None:
    """Trace this thread and every thread that is started from now on.

    Prints `module:line number: source`; with `values` also those of the names in it. Gunicorn's --spew prints none.
    """
    trace = _Spew(values)
    threading.settrace(trace)
    sys.settrace(trace)


def unspew() -> None:
    """Stop tracing this thread and those to come."""
    threading.settrace(None)
    sys.settrace(None)


class _Spew:
    def __init__(self, values: bool) -> None:
        self._values = values
        self._repr = Repr()
        self._repr.maxstring = self._repr.maxother = _LIMIT_VALUE_CHARACTERS

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> "_Spew":
        if event == "line":
            # Everything: odd globals, a source that is no text, modules that are gone while the interpreter ends.
            with contextlib.suppress(Exception):
                self._print(frame)
        return self

    def _print(self, frame: FrameType) -> None:
        number, source = frame.f_lineno, _source(frame)
        text = f"{frame.f_globals.get('__name__', '[unknown]')}:{number}: {source}\n"
        if self._values:
            known = [each for word in dict.fromkeys(_WORD.findall(source)) for each in self._values_of(word, frame)]
            text += f"\t{' '.join(known)}\n" if known else ""
        _write(_STDOUT, text.encode("utf-8", "backslashreplace"))

    def _values_of(self, word: str, frame: FrameType) -> list[str]:
        found = []
        scopes = [frame.f_globals] if frame.f_locals is frame.f_globals else [frame.f_globals, frame.f_locals]
        for scope in scopes:
            if word in scope:
                try:
                    found.append(f"{word}={self._repr.repr(scope[word])}")
                except Exception:  # noqa: BLE001  a repr of the application's
                    found.append(f"{word}=?")
        return found


def _source(frame: FrameType) -> str:
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)
    if line:
        return line.rstrip()
    return f"no source, in {frame.f_code.co_name} of {frame.f_code.co_filename}, instruction {frame.f_lasti}"
