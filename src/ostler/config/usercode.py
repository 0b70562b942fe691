"""What to show of an exception that the user's code raised: everything of theirs and nothing of ours.

Used for configuration files here and for the application in `app/loader.py`. Nothing here logs or exits.
"""

import importlib.util
import os
import site
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import ostler
from ostler.errors import ConfigError

_OURS = os.path.dirname(os.path.abspath(ostler.__file__)) + os.sep
_IMPORT_MACHINERY = os.path.dirname(os.path.abspath(importlib.util.__file__)) + os.sep
_LIBRARIES = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {os.path.join(path, "") for path in site.getsitepackages()}
)
_LINE_CHARACTERS = 400


class ConfigFileError(ConfigError):
    """The user's configuration code raised. `traceback_text` has the user's own frames and ends with a newline."""

    def __init__(self, message: str, traceback_text: str) -> None:
        super().__init__(message)
        self.traceback_text = traceback_text


def describe_exception(error: BaseException) -> tuple[str, str]:
    """(summary, traceback) of an exception from the user's code.

    The summary is one line: type, text, and file:line of the deepest frame in the user's own code (libraries only when
    there is no other). The traceback is Python's, causes included, without the frames of Ostler and of the import
    system; it ends with a newline.
    """
    whole = traceback.TracebackException.from_exception(error)
    for part in _parts(whole):
        _keep_user_frames(part)
    place = _place_of_syntax(error) or _place(whole)
    summary = _one_line(error) + (f" in {place}" if place else "")
    return summary, "".join(whole.format())


def _parts(whole: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The exception, its causes and contexts, and the members of groups."""
    pending = [whole]
    while pending:
        part = pending.pop()
        yield part
        others = (part.__cause__, part.__context__, *(part.exceptions or ()))
        pending += [other for other in others if other is not None]


def _keep_user_frames(part: traceback.TracebackException) -> None:
    kept = [frame for frame in part.stack if _is_shown(frame.filename)]
    if kept:
        part.stack = traceback.StackSummary.from_list(kept)
    else:
        # Without frames (a SyntaxError in the imported file) the heading would stand alone; format() skips it for None.
        part.stack = None  # type: ignore[assignment]


def _is_shown(filename: str) -> bool:
    return not filename.startswith((_OURS, _IMPORT_MACHINERY, "<frozen "))


def _place_of_syntax(error: BaseException) -> str:
    """A SyntaxError says itself where it is, unless it is about text that is in no file."""
    if not isinstance(error, SyntaxError) or not error.filename or error.filename.startswith("<"):
        return ""
    return f"{short_path(error.filename)}:{error.lineno or 1}"


def _place(whole: traceback.TracebackException) -> str:
    """`file:line` to look at first, or an empty text."""
    frames = list(whole.stack or ())
    own = [frame for frame in frames if is_own_code(frame.filename)]
    chosen = (own or frames)[-1:]
    return f"{short_path(chosen[0].filename)}:{chosen[0].lineno}" if chosen else ""


def is_own_code(filename: str) -> bool:
    """Whether a file is the user's: neither Ostler's nor of Python's library nor installed."""
    return not filename.startswith(("<", _OURS, *_LIBRARIES))


def short_path(filename: str) -> str:
    """Relative to the working directory where that is shorter to read."""
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return filename


def _one_line(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        text = error.msg
    elif isinstance(error, SystemExit):
        return f"SystemExit({error.code!r})"
    else:
        try:
            text = str(error)
        except Exception as failure:  # noqa: BLE001  __str__ of the user's own exception
            text = f"<its text could not be made: {type(failure).__name__}>"
    text = " ".join(text.split())
    if len(text) > _LINE_CHARACTERS:
        text = text[:_LINE_CHARACTERS] + "..."
    return f"{name}: {text}" if text else name
