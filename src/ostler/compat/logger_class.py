"""Which class `logger_class` means: a class, a dotted path, or `egg:DIST#NAME` (entry point group gunicorn.loggers).

Rules for editing: whatever a user's module raises while it is imported is a ConfigError with its cause. Names of
Gunicorn's modules mean ours, also where the finder is not installed.
"""

import importlib
import importlib.metadata
import inspect
from typing import Any, Final

from ostler.compat.finder import ours
from ostler.compat.glogging import Logger
from ostler.config.settings import Settings
from ostler.config.usercode import describe_exception
from ostler.errors import ConfigError

_GROUP: Final = "gunicorn.loggers"
_CURE: Final = "name a class that derives from gunicorn.glogging.Logger"


def logger_class_of(settings: Settings) -> type:
    """The class as cfg.logger_class gives it. Raises ConfigError.

    With the default class and `statsd_host` Gunicorn takes its Statsd class. Here metrics do not pass through the
    logger (observe/statsd.py), so the class stays what it is.
    """
    given = settings.logger_class
    if not isinstance(given, str):
        return given
    try:
        found = load_class(given, _GROUP, Logger)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        summary, _ = describe_exception(error)
        raise ConfigError(f"logger_class: cannot import {given}: {summary}; {_CURE}") from error
    if not inspect.isclass(found):
        raise ConfigError(f"logger_class: expected a class, {given} is of type {type(found).__name__}; {_CURE}")
    return found


def load_class(path: str, group: str, default: type) -> Any:
    """What MODULE.CLASS or egg:DIST[#NAME] leads to. default: of an egg without a name. Raises whatever happens."""
    if path.startswith("egg:"):
        distribution, _, name = path.removeprefix("egg:").partition("#")
        return entry_point(distribution, group, name) if name else default
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(ours(module) or module), name)


def entry_point(distribution: str, group: str, name: str) -> Any:
    """Raises ImportError (PackageNotFoundError is one), and whatever its module raises."""
    for entry in importlib.metadata.distribution(distribution).entry_points:
        if (entry.group, entry.name) == (group, name):
            return entry.load()
    raise ImportError(f"{distribution} has no entry point {name!r} in the group {group}")
