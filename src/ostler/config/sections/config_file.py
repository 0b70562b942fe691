"""Chapter "Config file": which file is read, and the application's name."""

from ostler.config.parse import read_optional_text, read_path
from ostler.config.setting import ReloadEffect, Section, Setting

SETTINGS = (
    Setting(
        name="config",
        section=Section.CONFIG_FILE,
        flags=("-c", "--config"),
        metavar="CONFIG",
        read=read_path,
        default=None,
        default_text="`./gunicorn.conf.py` or `./ostler.conf.py`, if there is one",
        in_files=False,
        reload=ReloadEffect.RESTART,
        doc=(
            "The configuration file: `PATH`, `file:PATH` or `python:MODULE`. It is Python; its names that are settings "
            "are taken, the others are its own business. It runs again at each reload. When both default files are "
            "present the server does not guess: it refuses to start and names them."
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
