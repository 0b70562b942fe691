"""Chapter "Control": Gunicorn's socket for `gunicornc`. Not built yet, so there is none that could be disabled."""

from ostler.config.parse import read_mode
from ostler.config.sections.shapes import LATER, OFF_TEXT, OffNumber, later, switch
from ostler.config.setting import ReloadEffect, Section, Takes

_NOTE = f"the control socket is {LATER}"

SETTINGS = (
    later("control_socket", Section.CONTROL, _NOTE, read=OFF_TEXT, flags=("--control-socket",), metavar="PATH"),
    later(
        "control_socket_mode",
        Section.CONTROL,
        _NOTE,
        read=OffNumber(0o600, number=read_mode),
        flags=("--control-socket-mode",),
        metavar="INT",
        takes=Takes.INTEGER,
    ),
    switch(
        "control_socket_disable",
        Section.CONTROL,
        "--no-control-socket",
        "Open no control socket. This version opens none anyway.",
        reload=ReloadEffect.RESTART,
    ),
)
