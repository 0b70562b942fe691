"""The application of our command, loaded by way of `gunicorn.app.base.Application.wsgi`.

Monitoring agents (New Relic's) watch for the import of that module and wrap that method, to see the application before
it serves. So the module is imported by Gunicorn's name, and the method is what returns the application.

Rules for editing: nothing is decided here; what is loaded is app/loader.py's.
"""

import importlib
from collections.abc import Callable
from typing import Any

from ostler.app.loader import load_configured
from ostler.app.source import Named
from ostler.compat.application import Application
from ostler.config.settings import Settings


class CommandSource(Named):
    def load(self, settings: Settings) -> Callable[..., Any]:
        """Raises AppLoadError or AppBootError."""
        importlib.import_module("gunicorn.app.base")
        found: Callable[..., Any] = _Commanded(settings).wsgi()
        return found


class _Commanded(Application):
    """Only what `wsgi` needs: its configuration was loaded by our command."""

    def __init__(self, settings: Settings) -> None:
        self.callable = None
        self._settings = settings

    def load(self) -> Any:
        return load_configured(self._settings)
