"""Chapter "Config file": which file is read, and the application's name."""

from ostler.config.parse import read_optional_text, read_path
from ostler.config.setting import ReloadEffect, Section, Setting, Support

SETTINGS = (
    Setting(
        name="config",
        section=Section.CONFIG_FILE,
        flags=("-c", "--config"),
        metavar="CONFIG",
        read=read_path,
        default=None,
        default_text=(
            "`gunicorn.conf.py`, `ostler.conf.py`, `ostler.toml` or `[tool.ostler]` in `pyproject.toml`, if one is in "
            "the directory where the server is started"
        ),
        in_files=False,
        support=Support.DIFFERS,
        note="more default files, TOML among them; two at once are an error; names that look mistyped are told",
        reload=ReloadEffect.RESTART,
        doc=(
            "The configuration file: `PATH`, `file:PATH` or `python:MODULE`. A name in `.toml` is TOML, where every "
            "key must be a setting (of `pyproject.toml`, the table `[tool.ostler]` is read). Anything else is Python: "
            "its names that are settings are taken, the others are its own business. It is read again at each reload. "
            "When two default files are present the server does not guess: it refuses to start and names them."
        ),
    ),
    Setting(
        name="wsgi_app",
        section=Section.CONFIG_FILE,
        read=read_optional_text,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        doc=(
            'The application: `MODULE`, `MODULE:ATTRIBUTE` or `MODULE:FACTORY("literal", name=1)`. Used when the '
            "command line has no APP. Without an attribute, `application` is taken."
        ),
    ),
)
