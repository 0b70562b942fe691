"""`gunicorn.workers.ggevent`. See base.py.

A class that names `server_class` or `wsgi_handler` is served by gevent's own server (pywsgi.py), any other by us.

Rules for editing: gevent is imported in the worker, by what asks for it.
"""

from typing import Any, ClassVar

from ostler.compat.workers import pywsgi
from ostler.compat.workers.base_async import AsyncWorker


class GeventWorker(AsyncWorker):
    """A greenlet of gevent's for each request."""

    __module__ = "gunicorn.workers.ggevent"
    _kind = "gevent"

    server_class: ClassVar[Any] = None
    wsgi_handler: ClassVar[Any] = None

    def _is_served(self) -> bool:
        return type(self).run is GeventWorker.run and not self._brings_a_server()

    def _brings_a_server(self) -> bool:
        return self.server_class is not None or self.wsgi_handler is not None

    def patch(self) -> None:
        """Monkey patching, before the application is imported."""
        self._engine("patch").prepare()
        if not self._is_served():
            from gevent import socket

            self.sockets = [socket.socket(each.FAMILY, each.type, fileno=each.sock.detach()) for each in self.sockets]

    def init_process(self) -> None:
        """Patch, and boot."""
        self.patch()
        super().init_process()

    def handle_quit(self, sig: Any, frame: Any) -> None:
        """In a greenlet: a signal handler must not wait."""
        if self._is_served():
            super().handle_quit(sig, frame)
        else:
            import gevent

            gevent.spawn(super().handle_quit, sig, frame)

    def run(self) -> None:
        """Serve until it is time to leave."""
        if self._brings_a_server():
            pywsgi.serve(self)
        else:
            super().run()


class GeventPyWSGIWorker(GeventWorker):
    """The same; to derive from with a `wsgi_handler` of one's own."""

    __module__ = "gunicorn.workers.ggevent"


def __getattr__(name: str) -> Any:
    if name == "PyWSGIServer":
        return pywsgi.classes()[0]
    if name == "PyWSGIHandler":
        return pywsgi.classes()[1]
    raise AttributeError(f"gunicorn.workers.ggevent.{name} is not built in this version of Ostler", name=name)
