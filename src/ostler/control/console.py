"""`ostler control`, and the `gunicornc` of packaging/gunicorn-shim: Gunicorn's control client, with its flags.

    -s PATH    the control socket, else its default path      -c COMMAND   this one, and no more
    -j         answers as JSON                                -v           the version

Without -c it reads commands from the terminal until `quit` or the end of input. Exit status 0, 1 for what went wrong,
2 for words that cannot be understood, 130 when it was interrupted.

Rules for editing: the words are the server's (roles/gunicornc.py); what is shown is views.py's, and for an answer that
it does not know JSON.
"""

import argparse
import contextlib
import importlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TextIO

from ostler.config.control_path import default_control_socket
from ostler.control import views
from ostler.control.client import ControlError
from ostler.control.wire_client import WireClient
from ostler.logline import escape

INTERRUPTED: Final = 130
_PROMPT: Final = "ostler> "
_HISTORY: Final = "~/.gunicornc_history"
_QUIT: Final = ("quit", "exit", "q")

View = Callable[[Mapping[str, Any], int | None], list[str]]
_VIEWS: Final[Mapping[tuple[str, ...], View]] = {
    ("show", "all"): views.everything,
    ("show", "workers"): views.workers,
    ("show", "dirty"): views.values,
    ("show", "config"): views.values,
    ("show", "stats"): views.values,
    ("show", "listeners"): views.listeners,
    ("status",): views.status,
    ("slow",): views.slow,
    ("stacks",): views.stacks,
    ("help",): views.commands,
}


def run(program: str, argv: Sequence[str], version: str) -> int:
    """The exit status. Raises SystemExit as argparse does, for --help and for what cannot be understood."""
    parser = _parser(program)
    given = parser.parse_args(argv)
    if given.version:
        sys.stdout.write(f"{program} (Ostler {version})\n")
        return 0
    path = given.socket or default_control_socket(os.environ)
    if path is None:
        sys.stderr.write("Error: there is no default path without XDG_RUNTIME_DIR and a home; say --socket PATH\n")
        return 1
    client = WireClient(path)
    try:
        if given.command is not None:
            return _one(client, given.command, as_json=given.json)
        return _many(client, as_json=given.json)
    except ControlError as error:
        sys.stderr.write(f"Error: {escape(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        return INTERRUPTED
    finally:
        client.close()


def width_of(stream: TextIO | None) -> int | None:
    """Of the terminal that `stream` writes to; None: it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream is not None else None
    except (OSError, ValueError):
        return None


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Look at a running server, and give it orders.")
    default = "$XDG_RUNTIME_DIR/gunicorn.ctl, else ~/.gunicorn/gunicorn.ctl"
    parser.add_argument("-s", "--socket", metavar="PATH", help=f"the server's control socket (default: {default})")
    parser.add_argument("-c", "--command", help="do this and no more; `help` lists what there is")
    parser.add_argument("-j", "--json", action="store_true", help="show answers as JSON")
    parser.add_argument("-v", "--version", action="store_true", help="show the version")
    return parser


def _one(client: WireClient, command: str, *, as_json: bool) -> int:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ControlError(f"{command}: {error}") from None
    data = client.send(shlex.join(words))
    _show(words, data, as_json=as_json)
    return 0


def _many(client: WireClient, *, as_json: bool) -> int:
    """A dialogue. What goes wrong is told, and the next command is asked for; a server that is gone ends it."""
    client.connect()
    _write(f"Connected to {client.path}; `help` lists what there is, `quit` ends this.\n\n")
    with _history():
        while True:
            try:
                line = input(_PROMPT).strip()
            except EOFError:
                _write("\n")
                return 0
            if not line:
                continue
            if line.lower() in _QUIT:
                return 0
            try:
                _one(client, line, as_json=as_json)
            except ControlError as error:
                _write(f"Error: {escape(str(error))}\n")
                client.connect()
            _write("\n")


def _show(words: Sequence[str], data: Mapping[str, Any], *, as_json: bool) -> None:
    known = tuple(word.lower() for word in words)
    view = _VIEWS.get(known[:2]) or _VIEWS.get(known[:1])
    if as_json or view is None:
        _write(json.dumps(data, indent=2) + "\n")
    else:
        _write("".join(f"{line}\n" for line in view(data, width_of(sys.stdout))))


def _write(text: str) -> None:
    """To stdout; what its encoding does not have is escaped."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Lines of former dialogues, where Python has readline."""
    try:
        readline = importlib.import_module("readline")
    except ImportError:
        yield
        return
    path = os.path.expanduser(_HISTORY)
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(path)
