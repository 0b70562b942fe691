"""A tornado application: handlers of every sort, a streamed upload, a chat, and a protocol of its own."""

import asyncio
import hashlib

import tornado.web
import tornado.websocket
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import StreamClosedError

ticks = []
"""What a callback that was started by the import has done."""
PeriodicCallback(lambda: ticks.append(1), 5).start()


class Hello(tornado.web.RequestHandler):
    def get(self):
        self.write({"ip": self.request.remote_ip, "protocol": self.request.protocol, "path": self.request.path})

    def post(self):
        files = {name: [file.filename for file in found] for name, found in self.request.files.items()}
        body = hashlib.sha256(self.request.body).hexdigest()
        self.write({"argument": self.get_body_argument("a", ""), "files": files, "body": body})


class Slow(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(float(self.get_argument("s", "0.05")))
        self.write("slow")


class Ticks(tornado.web.RequestHandler):
    async def get(self):
        while not ticks:
            await asyncio.sleep(0.005)
        self.write(str(IOLoop.current().asyncio_loop is asyncio.get_running_loop()))


class Pieces(tornado.web.RequestHandler):
    """A large body in pieces, as fast as the client takes it."""

    pieces = 0

    async def get(self):
        for _ in range(int(self.get_argument("count"))):
            self.write(b"x" * 65536)
            await self.flush()
            Pieces.pieces += 1
        self.finish("end")


class Progress(tornado.web.RequestHandler):
    def get(self):
        self.write(str(Pieces.pieces))


class Fail(tornado.web.RequestHandler):
    def get(self):
        if self.get_argument("after", ""):
            self.write("before")
            self.flush()
        if self.get_argument("exit", ""):
            raise SystemExit(3)
        raise ValueError("of the handler")


class Short(tornado.web.RequestHandler):
    def get(self):
        self.set_header("Content-Length", "10")
        self.finish("short")


@tornado.web.stream_request_body
class Upload(tornado.web.RequestHandler):
    def prepare(self):
        self.hash = hashlib.sha256()
        if limit := self.get_query_argument("limit", ""):
            self.request.connection.set_max_body_size(int(limit))

    async def data_received(self, chunk):
        self.hash.update(chunk)
        await asyncio.sleep(0)

    def post(self):
        self.write(self.hash.hexdigest())


class Waiting(tornado.web.RequestHandler):
    """Never answers: it is told when its client leaves."""

    left = 0

    async def get(self):
        await asyncio.Event().wait()

    def on_connection_close(self):
        Waiting.left += 1


class Left(tornado.web.RequestHandler):
    def get(self):
        self.write(str(Waiting.left))


class Events(tornado.web.RequestHandler):
    async def get(self):
        self.set_header("Content-Type", "text/event-stream")
        try:
            while True:
                self.write("data: x\n\n")
                await self.flush()
                await asyncio.sleep(0.01)
        except StreamClosedError:
            pass


members = set()
"""Of the chat."""


class Chat(tornado.websocket.WebSocketHandler):
    def open(self):
        members.add(self)

    def on_message(self, message):
        for member in members:
            member.write_message(message, binary=isinstance(message, bytes))

    def on_close(self):
        members.discard(self)


class Raw(tornado.web.RequestHandler):
    """Another protocol: an echo of lines."""

    async def get(self):
        stream = self.detach()
        await stream.write(b"HTTP/1.1 200 Go ahead\r\n\r\n")
        try:
            while True:
                line = await stream.read_until(b"\n", max_bytes=100)
                await stream.write(line.upper())
                if line == b"quit\n":
                    stream.close()
        except StreamClosedError:
            pass


app = tornado.web.Application(
    [
        ("/", Hello),
        ("/slow", Slow),
        ("/ticks", Ticks),
        ("/pieces", Pieces),
        ("/progress", Progress),
        ("/fail", Fail),
        ("/short", Short),
        ("/upload", Upload),
        ("/waiting", Waiting),
        ("/left", Left),
        ("/events", Events),
        ("/chat", Chat),
        ("/raw", Raw),
    ],
    websocket_max_message_size=64 * 1024 * 1024,
)
