"""PyWSGIServer and PyWSGIHandler of `gunicorn.workers.ggevent`: gevent's own WSGI server with our log.

For worker classes that bring a handler or a server of their own (gevent-websocket); the others are served by us.

Rules for editing: gevent is imported when the classes are asked for.
"""

import time
from datetime import timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

_MARGIN_S: Final = 1.0
"""So long before `graceful_timeout` is over, what still runs is ended: then the master would end the process."""


@cache
def classes() -> tuple[type, type]:
    """(PyWSGIServer, PyWSGIHandler). Raises ImportError without gevent."""
    from gevent import pywsgi

    class PyWSGIServer(pywsgi.WSGIServer):  # type: ignore[misc]  # gevent has no types that mypy knows
        """gevent's server."""

        __module__ = "gunicorn.workers.ggevent"

    class PyWSGIHandler(pywsgi.WSGIHandler):  # type: ignore[misc]
        """gevent's handler, whose requests are in our access log."""

        __module__ = "gunicorn.workers.ggevent"

        def log_request(self) -> None:
            status = self.status.decode("latin-1") if isinstance(self.status, bytes) else self.status
            response = SimpleNamespace(
                status=status or "-", headers=getattr(self, "response_headers", ()) or (), sent=self.response_length
            )
            asked = self.headers.items() if getattr(self, "headers", None) is not None else ()
            environ = getattr(self, "environ", None)
            if environ:
                took = timedelta(seconds=(self.time_finish or self.time_start) - self.time_start)
                self.server.log.access(response, list(asked), environ, took)

        def get_environ(self) -> Any:
            environ = super().get_environ()
            environ["gunicorn.sock"] = self.socket
            environ["RAW_URI"] = self.path
            return environ

    return PyWSGIServer, PyWSGIHandler


def serve(worker: Any) -> None:
    """A loop of its own for a worker whose class names a handler or a server, until the worker is not alive."""
    import gevent
    from gevent.pool import Pool

    theirs, handler = classes()
    server_class = worker.server_class or theirs
    handler_class = worker.wsgi_handler or handler
    options: dict[str, Any] = {}
    if worker.cfg.is_ssl:
        options = {name: worker.cfg.ssl_options[name] for name in ("keyfile", "certfile", "cert_reqs", "ca_certs")}
    environ = {
        "wsgi.multithread": True,
        "wsgi.multiprocess": worker.cfg.workers > 1,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": f"gevent/{gevent.__version__}",
    }
    servers = []
    for sock in worker.sockets:
        sock.setblocking(True)
        server = server_class(
            sock,
            application=worker.wsgi,
            spawn=Pool(worker.worker_connections),
            log=worker.log,
            handler_class=handler_class,
            environ=dict(environ),
            **options,
        )
        server.start()
        servers.append(server)
    while worker.alive:
        worker.notify()
        gevent.sleep(1.0)
    for server in servers:
        server.close()
    # Connections that are kept alive are greenlets, too, and may never end.
    patience_s = worker.cfg.graceful_timeout
    over_at = time.monotonic() + patience_s - min(_MARGIN_S, patience_s / 4)
    while any(server.pool.free_count() != server.pool.size for server in servers) and time.monotonic() < over_at:
        worker.notify()
        gevent.sleep(0.1)
    for server in servers:
        server.stop(timeout=0)
