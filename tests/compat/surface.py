"""What Gunicorn 27.0.1 offers to those who run it, as typed rows: sections 1.1 to 1.7 of its surface.

Facts in our own words, each with the verdict of how far this version keeps it. The tests of this folder are driven by
these rows: a row that no test covers fails test_surface.py, and so does a test for a row that is not here. The page
docs/reference/compatibility.md is made of them too (docs/compatibility.py). Here are 1.2 to 1.4, and all: `ROWS`.
"""

from typing import Final

from ostler.config.setting import Support
from tests.compat.rows import WORKS, Fact, Hook, Row, Variable, WorkerClass, differs, refused, unused
from tests.compat.surface_running import ATOMS, COMMANDS, EXIT_CODES, METRICS, SIGNALS
from tests.compat.surface_settings import OWN_SETTINGS, SETTINGS

VARIABLES: Final = (
    Variable("GUNICORN_CMD_ARGS", "more arguments, taken apart as a shell does"),
    Variable("PORT", "the default of `bind` is `0.0.0.0:$PORT`"),
    Variable("WEB_CONCURRENCY", "the default of `workers`"),
    Variable("FORWARDED_ALLOW_IPS", "the default of `forwarded_allow_ips`"),
    Variable("SENDFILE", "the default of `sendfile`: on for `y`, `1`, `yes`, `true`"),
    Variable(
        "SCRIPT_NAME",
        "the application's SCRIPT_NAME, taken off the front of PATH_INFO",
        differs("`/shop` takes `/shop/a` and not `/shopping`, where Gunicorn takes whatever begins so"),
    ),
    Variable(
        "NOTIFY_SOCKET",
        "where systemd hears that the server is ready",
        differs("READY is said when all workers serve, not when the sockets are open; at USR2, MAINPID follows"),
    ),
    Variable("LISTEN_PID", "listeners are inherited only by the process of this pid"),
    Variable(
        "LISTEN_FDS",
        "that many listeners are inherited, from descriptor 3 on, and stand in for `bind`",
        differs("unless `bind` names descriptors (`fd://3`, or `fd://NAME` of LISTEN_FDNAMES): then its entries count"),
    ),
    Variable("XDG_RUNTIME_DIR", "the directory of the control socket"),
    Variable("HOME", "the same, without XDG_RUNTIME_DIR: in `.gunicorn` there"),
    Variable("PWD", "the working directory as the shell names it, with its symbolic links"),
    Variable(
        "GUNICORN_PID",
        "the old master's pid, for the new one of USR2",
        differs("believed only by a child of that process, or when that is gone and GUNICORN_FD are listeners"),
    ),
    Variable(
        "GUNICORN_FD",
        "the listeners' descriptors, for the new master of USR2",
        differs("systemd's listeners are among them, for which Gunicorn sets LISTEN_FDS"),
    ),
    Variable(
        "GUNICORN_DIRTY_SOCKET",
        "where dirty applications are called",
        unused("there is no dirty pool in this version, and the settings that ask for one are refused"),
    ),
    Variable("SERVER_SOFTWARE", "set for the application", differs("`ostler/VERSION`; set in the workers only")),
)
"""The variables of Gunicorn's Docker image belong to that image's entry point, not to the server."""

HOOKS: Final = (
    Hook("on_starting", "server", "master"),
    Hook("on_reload", "server", "master"),
    Hook("when_ready", "server", "master"),
    Hook("pre_fork", "server, worker", "master"),
    Hook("post_fork", "server, worker", "worker"),
    Hook("post_worker_init", "worker", "worker"),
    Hook("worker_int", "worker", "worker"),
    Hook("worker_abort", "worker", "worker"),
    Hook("pre_exec", "server", "child"),
    Hook("pre_request", "worker, req", "worker"),
    Hook("post_request", "worker, req, environ, resp", "worker"),
    Hook("child_exit", "server, worker", "master"),
    Hook("worker_exit", "server, worker", "worker"),
    Hook("nworkers_changed", "server, new_value, old_value", "master"),
    Hook("on_exit", "server", "master"),
    Hook("ssl_context", "config, default_factory", "master"),
    Hook("on_dirty_starting", "arbiter", "dirty arbiter", refused=True),
    Hook("dirty_post_fork", "arbiter, worker", "dirty worker", refused=True),
    Hook("dirty_worker_init", "worker", "dirty worker", refused=True),
    Hook("dirty_worker_exit", "arbiter, worker", "dirty worker", refused=True),
)

_PYWSGI = differs("the same as `gevent`; a subclass with a handler of its own is served by gevent's own server")
_OWN_LOOP = differs(
    "a subclass of a kind is served by that kind, with the methods that it replaces; with a loop of its own, settings "
    "of our loop have no effect, and a line of the log names them"
)
WORKER_CLASSES: Final = (
    WorkerClass(
        "sync",
        "gunicorn.workers.sync.SyncWorker",
        differs("connections are kept alive, and a slow client does not hold the worker"),
    ),
    WorkerClass(
        "gthread",
        "gunicorn.workers.gthread.ThreadWorker",
        differs("a slow client holds no thread, and `sys.exit(3)` in a request is a 500, not the end of the server"),
    ),
    WorkerClass(
        "gevent",
        "gunicorn.workers.ggevent.GeventWorker",
        differs("a greenlet for each request, not for each connection: a slow client holds none"),
    ),
    WorkerClass("gevent_wsgi", "gunicorn.workers.ggevent.GeventPyWSGIWorker", _PYWSGI),
    WorkerClass("gevent_pywsgi", "gunicorn.workers.ggevent.GeventPyWSGIWorker", _PYWSGI),
    WorkerClass(
        "tornado",
        "gunicorn.workers.gtornado.TornadoWorker",
        differs("requests of a tornado application go through our connections; a WSGI application runs in threads"),
    ),
    WorkerClass(
        "asgi",
        "gunicorn.workers.gasgi.ASGIWorker",
        differs("it need not be named: an ASGI application is recognised; `send` raises when the client has left"),
    ),
    WorkerClass(
        "eventlet",
        "gunicorn.workers.geventlet.EventletWorker",
        differs("Gunicorn has removed it in version 26; here it is a kind as gevent is"),
    ),
    WorkerClass("egg", "egg:DISTRIBUTION#NAME", WORKS),
    WorkerClass("class", "uvicorn.workers.UvicornWorker", _OWN_LOOP),
)
"""The last two stand for whatever entry point of gunicorn.workers, and whatever class, somebody may name."""

_NO_HTTP2 = refused("HTTP/2 is not built yet")
ENVIRON: Final = (
    Fact("environ", "RAW_URI", "the request's target as received"),
    Fact("environ", "wsgi.input_terminated", "True: reading the body ends where the body ends"),
    Fact("environ", "wsgi.early_hints", "sends a 103"),
    Fact("environ", "wsgi.file_wrapper", "sends a file"),
    Fact("environ", "SERVER_SOFTWARE", "name and version of the server", differs("`ostler/VERSION`")),
    Fact("environ", "StopIteration", "raised by the application: the connection closes"),
    Fact(
        "environ",
        "gunicorn.socket",
        "the client's socket, for WebSocket",
        differs("the connection is the application's from its first use on, and the access log has the conversation"),
    ),
    Fact(
        "environ",
        "gunicorn.sock",
        "the same, of gevent_pywsgi",
        differs("of a subclass with a handler of its own; elsewhere `gunicorn.socket` is there"),
    ),
    Fact("environ", "PROXY_PROTOCOL", "`TCP4` or `TCP6` of a PROXY header"),
    Fact("environ", "PROXY_ADDR", "the address that the client asked for"),
    Fact("environ", "PROXY_PORT", "its port"),
    Fact("environ", "HTTP_VERSION", "of a request by HTTP/2", _NO_HTTP2),
    Fact("environ", "gunicorn.http2.send_trailers", "sends trailers", _NO_HTTP2),
    Fact("environ", "gunicorn.http2.priority_weight", "the stream's priority", _NO_HTTP2),
    Fact("environ", "gunicorn.http2.priority_depends_on", "the stream's priority", _NO_HTTP2),
)
"""1.4: what the environ has beyond PEP 3333, and an exception with a meaning."""
ABSENT: Final = tuple(row for row in ENVIRON if row.verdict.support is Support.REFUSED)

ROWS: Final[dict[str, Row]] = {
    row.key: row
    for rows in (
        *(SETTINGS, OWN_SETTINGS, VARIABLES, HOOKS, WORKER_CLASSES, ENVIRON),
        *(SIGNALS, COMMANDS, EXIT_CODES, ATOMS, METRICS),
    )
    for row in rows
}
