"""Applications and worker classes for the tests of worker classes that are not ours.

The classes are written as for Gunicorn. This module is imported in workers, where `gunicorn` is ours.
"""

import asyncio
import contextlib
import os
import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker


def own_pid():
    return str(os.getpid()).encode()


async def asgi(scope, receive, send):
    """Its pid; later for /slow. Does not start while the file `broken` is there."""
    if scope["type"] == "lifespan":
        await receive()
        if os.path.exists("broken"):
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.4)
    body = own_pid()
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


async def aiohttp_application():
    """The same for aiohttp; it accepts functions that make the application."""
    from aiohttp import web

    async def answer(request):
        if request.path == "/slow":
            await asyncio.sleep(0.4)
        return web.Response(body=own_pid())

    application = web.Application()
    application.router.add_get("/{rest:.*}", answer)
    return application


def wsgi(environ, start_response):
    """What the worker class has put into the environ."""
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.4)
    body = str(environ.get("tests.wrapped")).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class _Talks:
    """Says where it is called."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = 0
        self.log.info("called: __init__ %s", type(self).__name__)

    def init_process(self):
        self.log.info("called: init_process pid=%s", self.pid)
        super().init_process()
        self.log.info("called: the end of init_process")

    def load_wsgi(self):
        super().load_wsgi()
        inner = self.wsgi

        def wrapped(environ, start_response):
            return inner(environ | {"tests.wrapped": self.calls}, start_response)

        self.wsgi = wrapped

    def handle_exit(self, sig, frame):
        self.log.info("called: handle_exit")
        super().handle_exit(sig, frame)

    def handle_quit(self, sig, frame):
        self.log.info("called: handle_quit")
        super().handle_quit(sig, frame)

    def handle_usr1(self, sig, frame):
        self.log.info("called: handle_usr1")
        super().handle_usr1(sig, frame)

    def notify(self):
        super().notify()
        self.notified = True

    def _called(self, req):
        self.calls += 1
        if req.path == "/refused":
            raise KeyError(req.path)


class OwnSync(_Talks, SyncWorker):
    @classmethod
    def setup(cls):
        cls.was_set_up = True

    @classmethod
    def check_config(cls, cfg, log):
        log.info("called: check_config workers=%s set_up=%s", cfg.workers, cls.was_set_up)

    def handle_request(self, listener, req, client, addr):
        self._called(req)
        if req.path == "/forgotten":
            return
        assert addr[0] == client.getpeername()[0] == "127.0.0.1"
        super().handle_request(listener, req, client, addr)

    def handle(self, listener, client, addr):
        """Nobody calls it here."""


class OwnThreads(_Talks, ThreadWorker):
    def get_thread_pool(self):
        return ThreadPoolExecutor(self.cfg.threads, thread_name_prefix="herd", initializer=self._begin_thread)

    def _begin_thread(self):
        self.log.info("called: the initializer of %s", threading.current_thread().name)

    def handle_request(self, req, conn):
        self._called(req)
        assert threading.current_thread().name.startswith("herd")
        return super().handle_request(req, conn)

    def run(self):
        self.log.info("called: run")
        super().run()


class OwnLoop(Worker):
    """Sockets only; /hang hangs, /raise raises, /close closes what it has not opened."""

    def run(self):
        while self.alive:
            self.notify()
            for ready in select.select(self.wait_fds, [], [], 0.2)[0]:
                if ready in self.sockets:
                    self.accept(ready)
                else:
                    os.read(ready, 100)

    def accept(self, listener):
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        client.setblocking(True)
        with client:
            head = client.recv(65536)
            while b"/hang" in head:
                time.sleep(0.1)
            if b"/close" in head:
                for fd in range(3, 256):
                    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as copy:
                        if copy.family == socket.AF_UNIX:
                            os.close(fd)
            if b"/raise" in head:
                raise KeyError("raised by the loop")
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


class NeverReady(Worker):
    def run(self):
        """Comes back at once."""
