"""`gunicorn.errors`: what hooks and Logger classes raise and catch.

Rules for editing: these are raised by users' code; errors of Ostler's own are in ostler/errors.py.
"""


class HaltServer(SystemExit):
    """Asks for the end of the server. Ostler treats it as any exception of a hook's (observe/hooks.py)."""

    def __init__(self, reason: object, exit_status: int = 1) -> None:
        super().__init__(exit_status)
        self.reason = reason
        self.exit_status = exit_status

    def __str__(self) -> str:
        return f"<HaltServer {self.reason!r} {self.exit_status}>"


class ConfigError(Exception):
    """A setting is wrong."""


class AppImportError(Exception):
    """An application cannot be loaded."""
