"""The errors every layer may raise, each with the exit status that the documentation promises for it.

The message is one line for an operator: what was expected, what was found, where it came from, what to do.
`cli.py` prints it and exits with the status; a worker that cannot boot tells its master both (`roles/worker.py`).
"""

from typing import ClassVar


class OstlerError(Exception):
    """Ostler cannot do what was asked. The text is complete; no traceback is needed to understand it."""

    exit_status: ClassVar[int] = 1


class ConfigError(OstlerError):
    """A setting, a configuration file or the environment asks for something impossible."""


class UsageError(OstlerError):
    """The command line cannot be understood (exit status 2, as argparse)."""

    exit_status = 2


class BindError(OstlerError):
    """An address cannot be listened on."""


class BootError(OstlerError):
    """The application raised while it was imported or called for the first time (exit status 3)."""

    exit_status = 3


class AppLoadError(OstlerError):
    """The application was not found where the APP argument says (exit status 4)."""

    exit_status = 4


class RequestTimeout(BaseException):
    """Raised into an application call that takes longer than `request_timeout`, wherever it is.

    No `Exception`, as KeyboardInterrupt and asyncio.CancelledError are none: what catches all errors, and tries again,
    is not to catch this one. It may be caught to clean up; the client has been answered already.
    """


def reason_of(error: OSError) -> str:
    """The system's words for an error, as they stand in the middle of a line: `permission denied`."""
    return (error.strerror or str(error)).lower()
