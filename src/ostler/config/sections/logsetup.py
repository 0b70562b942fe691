"""Entries of the chapter "Logging" about Python's logging: the logger's class and configurations of the user's own."""

import inspect

from ostler.config.parse import BadValue, quoted, read_path_if_any, read_table, read_text
from ostler.config.setting import ReloadEffect, Section, Setting, Takes
from ostler.config.usercode import describe_exception

DEFAULT_LOGGER = "gunicorn.glogging.Logger"


def read_logger_class(raw: object) -> str | type:
    """A class, a function that returns one, or text (`MODULE.CLASS`, `egg:DISTRIBUTION#NAME`, `simple`)."""
    expected = "a class or its dotted path"
    if inspect.isfunction(raw) or inspect.ismethod(raw):
        try:
            raw = raw()
        except Exception as error:  # the user's function
            raise BadValue(expected, raw, f"calling it failed: {describe_exception(error)[0]}") from error
    if inspect.isclass(raw):
        return raw
    text = read_text(raw) if isinstance(raw, str) else ""
    if text == "simple":
        return DEFAULT_LOGGER
    if not text or not ("." in text or text.startswith("egg:")):
        raise BadValue(expected, raw, f"the default is {quoted(DEFAULT_LOGGER)}")
    return text


SETTINGS = (
    Setting(
        name="logger_class",
        section=Section.LOGGING,
        flags=("--logger-class",),
        metavar="CLASS",
        read=read_logger_class,
        default=DEFAULT_LOGGER,
        reload=ReloadEffect.MASTER,
        doc=(
            "The class that writes both logs: a class, or a dotted path to a subclass of `gunicorn.glogging.Logger` "
            "that overrides `setup()`, `access()` or `atoms()`."
        ),
    ),
    Setting(
        name="logconfig",
        section=Section.LOGGING,
        flags=("--log-config",),
        metavar="FILE",
        read=read_path_if_any,
        default=None,
        default_text="none",
        reload=ReloadEffect.MASTER,
        doc=(
            "A file for `logging.config.fileConfig`, with the loggers `gunicorn.error` and `gunicorn.access`. Of "
            "several, `logconfig_dict` wins over `logconfig_json`, and that over this one."
        ),
    ),
    Setting(
        name="logconfig_dict",
        section=Section.LOGGING,
        read=read_table,
        default={},
        default_text="none",
        takes=Takes.TABLE,
        reload=ReloadEffect.MASTER,
        doc=(
            "A dict for `logging.config.dictConfig`. Its top-level keys replace those of Gunicorn's own configuration, "
            "which has the handlers `console` and `error_console` and the formatter `generic`."
        ),
    ),
    Setting(
        name="logconfig_json",
        section=Section.LOGGING,
        flags=("--log-config-json",),
        metavar="FILE",
        read=read_path_if_any,
        default=None,
        default_text="none",
        reload=ReloadEffect.MASTER,
        doc="A JSON file with what `logconfig_dict` takes.",
    ),
)
