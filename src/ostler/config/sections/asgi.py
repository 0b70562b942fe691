"""Entries about ASGI, of the chapters "Worker processes" and "Server mechanics"."""

from ostler.config.parse import BadValue, read_choice, read_integer
from ostler.config.setting import ReloadEffect, Section, Setting, Support, Takes

_choose_loop = read_choice("auto", "asyncio", "uvloop")
_choose_lifespan = read_choice("auto", "on", "off")
_LOOPS = "auto, asyncio or uvloop"


def read_loop(raw: object) -> str:
    """The name of an event loop; None is `auto`."""
    return "auto" if raw is None else _choose_loop(raw)


def read_lifespan(raw: object) -> str:
    """auto, on or off; None is `auto`."""
    return "auto" if raw is None else _choose_lifespan(raw)


def read_root_path(raw: object) -> str:
    """A path prefix, without a slash at its end; None and "" are none."""
    if raw is None:
        return ""
    if not isinstance(raw, str):
        raise BadValue("a path like /api", raw)
    path = raw.strip().rstrip("/")
    if path and not path.startswith("/"):
        raise BadValue("a path that begins with /", raw)
    return path


SETTINGS = (
    Setting(
        name="asgi_loop",
        section=Section.WORKERS,
        flags=("--asgi-loop",),
        metavar="STRING",
        read=read_loop,
        default="auto",
        reload=ReloadEffect.WORKERS,
        doc=(
            f"The event loop of `asgi` workers: {_LOOPS}. `auto` is uvloop where it is installed "
            '(`pip install "ostler[uvloop]"`), else asyncio\'s own. `uvloop` without the package is an error.'
        ),
    ),
    Setting(
        name="asgi_lifespan",
        section=Section.WORKERS,
        flags=("--asgi-lifespan",),
        metavar="STRING",
        read=read_lifespan,
        default="auto",
        reload=ReloadEffect.WORKERS,
        doc=(
            "The lifespan protocol of `asgi` workers: `auto` (the application is asked, and served without it when it "
            "does not know it), `on` (one that does not know it does not start) or `off`. An application that says "
            "`lifespan.startup.failed` is never served: the worker does not start, and a reload is taken back."
        ),
    ),
    Setting(
        name="asgi_disconnect_grace_period",
        section=Section.WORKERS,
        flags=("--asgi-disconnect-grace-period",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=3,
        reload=ReloadEffect.WORKERS,
        doc=(
            "Seconds that an `asgi` application may go on with a request whose client has left; it hears "
            "`http.disconnect` at once. Then its task is cancelled."
        ),
    ),
    Setting(
        name="websocket_max_message_size",
        section=Section.WORKERS,
        flags=("--websocket-max-message-size",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=16 * 1024 * 1024,
        reload=ReloadEffect.WORKERS,
        doc=(
            "Bytes of the largest WebSocket message that an `asgi` worker takes, after decompression; 0 is no limit. "
            "A longer one ends the connection with the code 1009."
        ),
    ),
    Setting(
        name="root_path",
        section=Section.MECHANICS,
        flags=("--root-path",),
        metavar="STRING",
        read=read_root_path,
        default="",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="a slash at its end is taken away, and a value that does not begin with one is an error",
        doc="The `root_path` of ASGI scopes: the path at which a proxy has mounted the application.",
    ),
)
