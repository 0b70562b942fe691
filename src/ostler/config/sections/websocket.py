"""Entries about WebSocket beside Gunicorn's one (asgi.py), of the chapter "Worker processes"."""

from ostler.config.parse import read_bool, read_seconds
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Takes

SETTINGS = (
    Setting(
        name="ws_ping_interval",
        section=Section.WORKERS,
        flags=("--ws-ping-interval",),
        metavar="SECONDS",
        takes=Takes.NUMBER,
        least=0,
        read=read_seconds,
        default=20,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Seconds without anything from a WebSocket client of an `asgi` worker after which it is sent a ping; 0 is "
            "never."
        ),
    ),
    Setting(
        name="ws_ping_timeout",
        section=Section.WORKERS,
        flags=("--ws-ping-timeout",),
        metavar="SECONDS",
        takes=Takes.NUMBER,
        least=0,
        read=read_seconds,
        default=20,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Seconds that a WebSocket client may be silent after a ping before its connection ends with the code 1011; "
            "0 is no limit. A client that is not read, as its messages wait for the application, is not counted silent."
        ),
    ),
    Setting(
        name="ws_per_message_deflate",
        section=Section.WORKERS,
        flags=("--no-ws-per-message-deflate",),
        kind=FlagKind.OFF,
        takes=Takes.SWITCH,
        read=read_bool,
        default=True,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Compress WebSocket messages where the client offers it (permessage-deflate, RFC 7692). It costs up to "
            "50 KiB of memory for each connection that uses it."
        ),
    ),
)
