"""The `ostler` command: argv -> Settings -> run, check or print; `ostler settings` tells what there is to set; `ostler
reload`, `ostler status` and the others talk to a server that runs (control/subcommands.py).

The only place that turns an error into a line on stderr and the command's exit status (`errors.py` has the statuses).
No traceback of ours: the user's own is shown whole, above the line that sums it up.
"""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TextIO

from ostler import __version__
from ostler.app.loader import AppBootError, apply_paths, load_configured
from ostler.compat import finder
from ostler.compat.arbiter import Arbiter
from ostler.compat.command_source import CommandSource
from ostler.compat.hook_views import GunicornViews
from ostler.compat.worker_class import import_class
from ostler.config.arguments import Answered
from ostler.config.nearmiss import closest
from ostler.config.parse import quoted
from ostler.config.reference import describe_setting, list_settings
from ostler.config.report import describe_settings
from ostler.config.schema import render as render_schema
from ostler.config.sections import ENTRIES
from ostler.config.setting import Setting
from ostler.config.settings import Settings
from ostler.config.sources import load_settings
from ostler.config.usercode import ConfigFileError
from ostler.control import console
from ostler.control.client import ControlError
from ostler.control.subcommands import MEANINGS, Run
from ostler.errors import OstlerError, UsageError, reason_of
from ostler.process.certificates import Certificates
from ostler.process.reexec import ReadyLine, start_context
from ostler.roles.assembly import choose_kind
from ostler.roles.launch import Launch, run_master
from ostler.workers.kinds import kind_of

INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
_SETTINGS = "settings"
_CONTROL = "control"
_SETTINGS_USAGE = """\
usage: ostler settings         list every setting
       ostler settings NAME    describe one, by its name or flag
       ostler settings --json  print the JSON schema of a TOML file
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command with `argv` (without the program's name) and return the exit status."""
    _open_standard_files()
    old_master = ReadyLine.of(os.environ, os.getppid())
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except Answered as answer:
        _write(sys.stdout, answer.text)
        return 0
    except ConfigFileError as error:
        _write(sys.stderr, f"{error.traceback_text}Error: {error}\n")
        old_master.failed(str(error))
        return error.exit_status
    except OstlerError as error:
        _write(sys.stderr, f"Error: {error}\n")
        old_master.failed(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: list[str]) -> int:
    if argv[:1] == [_SETTINGS]:
        _write(sys.stdout, _about_settings(argv[1:]))
        return 0
    if argv and argv[0] in MEANINGS:
        return _command(argv[0], argv[1:])
    if argv[:1] == [_CONTROL]:
        return console.run("ostler control", argv[1:], __version__)
    finder.install()  # before anything of the user's is imported
    environ = dict(os.environ)
    # Taken once: a reload reads the same arguments, variables and start directory again.
    context = start_context(environ)
    read_again = partial(load_settings, tuple(argv), environ, context.directory)
    settings = read_again()
    apply_paths(settings)
    if settings.print_config:
        _write(sys.stdout, describe_settings(settings))
    if settings.print_config or settings.check_config:
        _write(sys.stderr, "".join(f"{notice}\n" for notice in settings.notices))
        return _check_application(settings)
    views = GunicornViews(environ, context, Arbiter.of_command(context))
    return run_master(Launch(read_again, settings, views, context, environ, CommandSource))


def _check_application(settings: Settings) -> int:
    """Load certificates and application here, as a worker would, and say what is wrong with them; 0 or 1."""
    for entry in settings.raw_env:
        name, _, value = entry.partition("=")
        os.environ[name] = value
    try:
        if settings.hooks.ssl_context is None:  # a hook may do anything, and is for the master
            Certificates.load(settings)
        if settings.kind:
            kind_of(settings.kind).prepare()
        else:
            import_class(settings)
        application = load_configured(settings)
        if settings.kind:
            choose_kind(settings, application, logging.getLogger(__name__))  # which says what it is, to nobody
    except AppBootError as error:
        _write(sys.stderr, f"{error.traceback_text}Error: cannot load {settings.paste or settings.wsgi_app}: {error}\n")
        return 1
    except OstlerError as error:
        _write(sys.stderr, f"Error: {error}\n")
        return 1
    return 0


def _command(name: str, words: list[str]) -> int:
    """`ostler reload` and the others. Raises UsageError, ControlError with what the master says, and ConfigError.

    An application called `reload` is served by `ostler reload:application` or `ostler -- reload`.
    """
    lost: list[str] = []

    def out(text: str) -> None:
        reason = _write(sys.stdout, text)
        lost.extend(filter(None, [reason]))

    status = Run(name, out, partial(_write, sys.stderr), console.width_of(sys.stdout)).run(words, _settings_of_server)
    if lost:
        raise ControlError(f"{name}: cannot write to stdout: {lost[0]}")  # a script would take it for an answer
    return status


def _settings_of_server(words: Sequence[str]) -> Settings:
    finder.install()
    return load_settings(tuple(words), dict(os.environ), to_serve=False)


def _about_settings(words: list[str]) -> str:
    """The answer to `ostler settings [NAME | --json]`. NAME may be a flag. Raises UsageError.

    An application called `settings` is served by `ostler settings:application` or `ostler -- settings`.
    """
    match words:
        case []:
            return list_settings()
        case ["-h" | "--help"]:
            return _SETTINGS_USAGE
        case ["--json"]:
            return render_schema()
        case [word]:
            return describe_setting(_setting_called(word))
        case _:
            cure = f"to serve an application called {_SETTINGS} write {_SETTINGS}:application"
            raise UsageError(f"expected one setting after {_SETTINGS}, got {len(words)} words; {cure}")


def _setting_called(word: str) -> Setting:
    by_name = {entry.name: entry for entry in ENTRIES}
    by_flag = {flag: entry for entry in ENTRIES for flag in entry.flags}
    entry = by_name.get(word) or by_flag.get(word) or by_flag.get(f"--{word}")
    if entry is None:
        meant = closest(word, by_name)
        cure = f"did you mean {meant}?" if meant else f"ostler {_SETTINGS} lists them"
        raise UsageError(f"expected the name of a setting, got {quoted(word)}; {cure}")
    return entry


def _write(stream: TextIO | None, text: str) -> str:
    """Write and flush; returns why that failed. A reader that has gone away (`ostler --help | head -1`) is no error."""
    if stream is None:
        return ""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        return _write(stream, text.encode("ascii", "backslashreplace").decode("ascii"))
    except (OSError, ValueError) as error:
        # Python flushes once more at exit and would complain: what is still buffered goes to the null device.
        with suppress(OSError, ValueError):
            descriptor = stream.fileno()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
        return reason_of(error) if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) else ""
    return ""


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
