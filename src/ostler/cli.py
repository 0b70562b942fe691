"""The `ostler` command: argv -> Settings -> run, check or print.

The only place that turns an error into a line on stderr and the command's exit status (`errors.py` has the statuses).
No traceback of ours: the user's own is shown whole, above the line that sums it up.
"""

import os
import sys
from contextlib import suppress
from functools import partial
from typing import TextIO

from ostler.app.loader import AppBootError, apply_paths, load_app
from ostler.compat.hook_views import GunicornViews
from ostler.config.arguments import Answered
from ostler.config.report import describe_settings
from ostler.config.settings import Settings
from ostler.config.sources import load_settings, start_directory
from ostler.config.usercode import ConfigFileError
from ostler.errors import OstlerError
from ostler.roles.master import run_master

INTERRUPTED = 130  # 128 + SIGINT, as a shell has it


def main(argv: list[str] | None = None) -> int:
    """Run the command with `argv` (without the program's name) and return the exit status."""
    _open_standard_files()
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except Answered as answer:
        _write(sys.stdout, answer.text)
        return 0
    except ConfigFileError as error:
        _write(sys.stderr, f"{error.traceback_text}Error: {error}\n")
        return error.exit_status
    except OstlerError as error:
        _write(sys.stderr, f"Error: {error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: list[str]) -> int:
    environ = dict(os.environ)
    # Taken once: a reload reads the same arguments, variables and start directory again.
    read_again = partial(load_settings, tuple(argv), environ, start_directory(environ))
    settings = read_again()
    apply_paths(settings)
    if settings.print_config:
        _write(sys.stdout, describe_settings(settings))
    if settings.print_config or settings.check_config:
        return _check_application(settings)
    return run_master(read_again, settings, GunicornViews())


def _check_application(settings: Settings) -> int:
    """Load the application here, in this process, and say what is wrong with it; 0 or 1."""
    try:
        load_app(settings.wsgi_app)
    except AppBootError as error:
        _write(sys.stderr, f"{error.traceback_text}Error: cannot load {settings.wsgi_app}: {error}\n")
        return 1
    except OstlerError as error:
        _write(sys.stderr, f"Error: {error}\n")
        return 1
    return 0


def _write(stream: TextIO | None, text: str) -> None:
    """Write and flush; a reader that has gone away (`ostler --help | head -1`) is no error."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        _write(stream, text.encode("ascii", "backslashreplace").decode("ascii"))
    except (OSError, ValueError):
        # Python flushes once more at exit and would complain: what is still buffered goes to the null device.
        with suppress(OSError, ValueError):
            descriptor = stream.fileno()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)


def _open_standard_files() -> None:
    """Give the descriptors 0, 1 and 2 to the null device where they are closed.

    Otherwise the first listening socket or log file would become "stderr", and a warning would go to a client.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            os.set_inheritable(descriptor, True)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
