"""Where a generation's application comes from: its settings name it, or the program that embeds the server has it.

A generation pins its source as it pins its settings, so that a worker which is started again later loads the same.

Rules for editing: `load` runs in the process that serves (or in the mold), `put_back` also in the master.
"""

from collections.abc import Callable
from typing import Any, Protocol

from ostler.app.loader import load_configured
from ostler.config.settings import Settings


class Source(Protocol):
    """One generation's application, not loaded yet."""

    def load(self, settings: Settings) -> Callable[..., Any]:
        """The application. Raises AppLoadError or AppBootError."""

    def put_back(self) -> None:
        """Undo what later generations have changed on what they share with this one."""


class Named:
    """APP or `paste` of the settings."""

    def load(self, settings: Settings) -> Callable[..., Any]:
        return load_configured(settings)

    def put_back(self) -> None:
        """It is named, and nothing is shared."""
