"""Serving one request with a real connection and an application, without a socket."""

import io
import logging
import os

from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi import FileWrapper, WsgiAdapter
from ostler.app.wsgi_input import ClientGone, body_stream
from ostler.app.wsgi_response import Response
from ostler.config.settings import Settings
from ostler.http.connection import FileSlice, Peer
from ostler.http.encode import DateField
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits

PEER = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))
GET = b"GET /path HTTP/1.1\r\nHost: a\r\n\r\n"
TEXT = ("Content-Type", "text/plain")


class Log(logging.Logger):
    """Remembers (level, message)."""

    def __init__(self):
        super().__init__("test")
        self.lines = []
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append((record.levelname, record.getMessage()))
        self.addHandler(handler)


def sent_by(connection):
    """What it has to send, and how many of the pieces were of files."""
    data, files = b"", 0
    for piece in connection.data_to_send():
        if isinstance(piece, FileSlice):
            files += 1
            data += os.pread(piece.fd, piece.length, piece.offset)
            os.close(piece.fd)
        else:
            data += piece
    return data, files


class Client:
    """A sink and body source: it takes what the connection has to send, and sends a body piece by piece."""

    def __init__(self, connection, pieces=()):
        self.connection = connection
        self.pieces = list(pieces)
        self.deliveries = []
        self.ended_at = None  # how many deliveries there were when the exchange was over
        self.files = 0
        self.gone = False
        self.left = False
        self.muted = False

    def deliver(self):
        if self.gone:
            raise ClientGone("the connection broke")
        data, files = sent_by(self.connection)
        self.files += files
        if data:
            self.deliveries.append(data)

    def finish(self):
        if self.ended_at is None:
            self.ended_at = len(self.deliveries)
        self.deliver()

    def wait_for_body(self):
        self.deliver()
        if not self.pieces:
            raise ClientGone("the client sent no more of its body in time")
        self.connection.receive(self.pieces.pop(0))

    def client_disconnected(self):
        return self.left

    def socket(self):
        return self


class Serving:
    """One request that is served: `client.deliveries` while the application ran, `last` behind it."""

    def __init__(self, application, request=GET, pieces=(), gone=False, sendfile=True):
        self.log = Log()
        self.connection = H1Connection(Limits(), PEER, DateField(784111777))
        self.connection.receive(request)
        self.exchange = self.connection.next_exchange()
        self.client = Client(self.connection, pieces)
        self.client.gone = gone
        self.response = Response(self.exchange, self.client)
        constants = {
            "SERVER_SOFTWARE": "ostler/test",
            "wsgi.errors": io.StringIO(),
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.multiprocess": False,
            "wsgi.multithread": False,
        }
        template = EnvironTemplate(Settings.defaults(), constants, {})
        adapter = WsgiAdapter(application, template, self.log, sendfile)
        shared = template.for_connection(PEER)
        environ = adapter.environ_for(shared, self.exchange, self.client, self.response)
        complete = self.exchange.head.body_length == 0
        environ["wsgi.input"] = body_stream(None, complete, self.exchange, self.client)
        adapter.serve(environ, self.exchange, self.client, self.response)
        self.client.gone = False
        self.client.finish()
        before = self.client.ended_at
        self.last = b"".join(self.client.deliveries[before:])
        self.deliveries = self.client.deliveries[:before]

    @property
    def sent(self):
        return b"".join(self.client.deliveries)

    @property
    def status(self):
        return int(self.sent.split(b" ", 2)[1])

    @property
    def fields(self):
        head = self.sent.partition(b"\r\n\r\n")[0].decode()
        return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])

    @property
    def body(self):
        return self.sent.partition(b"\r\n\r\n")[2]

    @property
    def errors(self):
        return [message for level, message in self.log.lines if level == "ERROR"]
