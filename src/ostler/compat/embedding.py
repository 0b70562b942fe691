"""A program that embeds the server: its BaseApplication is where settings and application come from.

    first       app.cfg, as the program has left it
    HUP         app.reload() in a forked child; if that went well, in the master; then a new generation
    workers     app.wsgi(), after the fork; in the mold, with preload_app

Gunicorn keeps one object for all generations and changes it at a reload. Here each generation pins what the object had
in it (its `__dict__`): a worker that is started again later finds what its own generation was made of.

Rules for editing: the object is the user's; whatever it raises is told, and never ends the master.
"""

from collections.abc import Callable
from typing import Any

from ostler.app.loader import AppBootError
from ostler.compat.package.errors import AppImportError
from ostler.config.settings import Settings
from ostler.config.sources import working_in
from ostler.config.usercode import ConfigFileError, describe_exception
from ostler.errors import AppLoadError, OstlerError


class Embedding:
    def __init__(self, app: Any, directory: str) -> None:
        """directory: where the program was started, and is when it reads its configuration again."""
        self.app = app
        self._directory = directory
        self._loaded = False
        self._current: _Pinned | None = None  # whose contents the object has

    def load_settings(self) -> Settings:
        """Raises ConfigError, with the object as it was."""
        if not self._loaded:
            self._loaded = True
            return self._take()
        pinned, self._current = self._current, None
        if pinned is not None:
            pinned.keep()
        try:
            with working_in(self._directory):
                self._reload()
            return self._take()
        except BaseException:
            if pinned is not None:
                pinned.put_back()
            raise

    def pin(self) -> "_Pinned":
        """The Source of the generation that these settings make."""
        self._current = _Pinned(self)
        return self._current

    def bring(self, pinned: "_Pinned") -> None:
        """Its contents shall be in the object, and those that are there now stay with whom they belong to."""
        if self._current is pinned:
            return
        if self._current is not None:
            self._current.keep()
        contents = getattr(self.app, "__dict__", None)
        if contents is not None:
            contents.clear()
            contents.update(pinned.contents)
        self._current = pinned

    def _take(self) -> Settings:
        settings: Settings = self.app.cfg.take()
        return settings

    def _reload(self) -> None:
        try:
            self.app.reload()
        except (KeyboardInterrupt, OstlerError):
            raise
        except BaseException as error:
            # do_load_config says what is wrong, and then exits
            told = error.__cause__ if isinstance(error, SystemExit) and error.__cause__ is not None else error
            if isinstance(told, OstlerError):
                raise told from error
            summary, text = describe_exception(told)
            raise ConfigFileError(f"{type(self.app).__qualname__}.load_config raised {summary}", text) from error


class _Pinned:
    """A Source."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding
        self.contents: dict[str, Any] = {}
        self.keep()

    def keep(self) -> None:
        self.contents = dict(getattr(self._embedding.app, "__dict__", {}))

    def put_back(self) -> None:
        self._embedding.bring(self)

    def load(self, settings: Settings) -> Callable[..., Any]:
        """What `app.wsgi()` returns. Raises AppLoadError or AppBootError."""
        self.put_back()
        app = self._embedding.app
        name = type(app).__qualname__
        try:
            found: Callable[..., Any] = app.wsgi()
        except (KeyboardInterrupt, OstlerError):
            raise
        except AppImportError as error:
            raise AppLoadError(f"application: {error}") from error
        except BaseException as error:
            raise AppBootError(*describe_exception(error)) from error
        if not callable(found):
            raise AppLoadError(f"application: expected a callable from {name}.load, got {type(found).__name__}")
        return found
