"""Entries about ASGI and WebSockets, of the chapters "Worker processes" and "Server mechanics". Not built yet."""

from ostler.config.sections.shapes import LATER, Off, OffNumber, later
from ostler.config.setting import Section, Takes

_NOTE = f"ASGI is {LATER}"

SETTINGS = (
    later("asgi_loop", Section.WORKERS, _NOTE, read=Off("auto"), flags=("--asgi-loop",)),
    later("asgi_lifespan", Section.WORKERS, _NOTE, read=Off("auto"), flags=("--asgi-lifespan",)),
    later(
        "asgi_disconnect_grace_period",
        Section.WORKERS,
        _NOTE,
        read=OffNumber(3),
        flags=("--asgi-disconnect-grace-period",),
        metavar="INT",
        takes=Takes.INTEGER,
    ),
    later(
        "websocket_max_message_size",
        Section.WORKERS,
        f"the worker that speaks WebSocket is {LATER}",
        read=OffNumber(16 * 1024 * 1024),
        flags=("--websocket-max-message-size",),
        metavar="INT",
        takes=Takes.INTEGER,
    ),
    later("root_path", Section.MECHANICS, _NOTE, read=Off("", ""), flags=("--root-path",)),
)
