"""Subclasses of the gevent workers, as for Gunicorn: one that ours serves, one with a handler of its own."""

import socket
import time

from gunicorn.workers.ggevent import GeventPyWSGIWorker, GeventWorker, PyWSGIHandler


class OwnGevent(GeventWorker):
    def patch(self):
        super().patch()
        self.log.info("called: patch")

    def handle_request(self, listener_name, req, sock, addr):
        self.log.info("called: handle_request %s", req.path)
        return super().handle_request(listener_name, req, sock, addr)


class Handler(PyWSGIHandler):
    def get_environ(self):
        return super().get_environ() | {"tests.handler": type(self).__name__}


class OwnHandler(GeventPyWSGIWorker):
    wsgi_handler = Handler


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.4)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{socket.socket.__module__} {environ.get('tests.handler')} {'gunicorn.sock' in environ}".encode()]
