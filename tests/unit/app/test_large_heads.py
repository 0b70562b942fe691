"""app/large_heads.py: a response head that Nginx would refuse is told, with the place it comes from."""

import io
import logging

import pytest

from ostler.app import large_heads
from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi import FileWrapper, WsgiAdapter
from ostler.app.wsgi_response import Response, WatchedResponse
from ostler.config.settings import Settings
from ostler.http.connection import LARGE_HEAD_BYTES
from ostler.http.encode import DateField
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from tests.unit.app.asgi_serving import body, serve, start
from tests.unit.app.serving import PEER, Client

COOKIE = "x" * LARGE_HEAD_BYTES


class Log(logging.Logger):
    def __init__(self):
        super().__init__("test", logging.DEBUG)
        self.lines = []

    def handle(self, record):
        self.lines.append((record.levelname, record.getMessage()))


class Desk:
    """A worker's adapter, for one request after the other, with a clock that stands still."""

    def __init__(self, application, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(large_heads, "_monotonic", lambda: self.now)
        self.log = Log()
        constants = dict.fromkeys(("wsgi.errors", "wsgi.multiprocess", "wsgi.multithread"), io.StringIO())
        self.template = EnvironTemplate(Settings.defaults(), constants, {})
        self.adapter = WsgiAdapter(application, self.template, self.log)

    def ask(self, path="/"):
        connection = H1Connection(Limits(), PEER, DateField(784111777))
        connection.receive(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        exchange = connection.next_exchange()
        client = Client(connection, ())
        response = self.adapter.new_response(exchange, client)
        environ = self.adapter.environ_for(self.template.for_connection(PEER), exchange, client, response)
        self.adapter.serve(environ, exchange, client, response)
        return response

    @property
    def told(self):
        lines = self.log.lines[:]
        self.log.lines.clear()
        return lines


def setting(cookie, blocks=(b"ok",)):
    def application(environ, start_response):
        start_response("200 OK", [("Set-Cookie", cookie), ("Content-Type", "text/plain")])
        return blocks() if callable(blocks) else list(blocks)

    return application


def line_of(application):
    return f"test_large_heads.py:{application.__code__.co_firstlineno + 1} in application"


SENTENCE = f'response head is large request="GET /basket" field=Set-Cookie field_bytes={LARGE_HEAD_BYTES}'
CAUSE = 'cause="more than the 4096 bytes of a response head that Nginx reads: it answers 502" cure="'


def test_the_first_one_is_told_and_the_next_one_with_its_place(monkeypatch):
    application = setting(COOKIE)
    desk = Desk(application, monkeypatch)
    assert type(desk.ask("/basket?a=1")) is Response
    ((level, line),) = desk.told
    assert level == "WARNING"
    assert line.startswith(f"{SENTENCE} {CAUSE}")
    assert type(desk.ask("/basket")) is WatchedResponse
    ((_, line),) = desk.told
    assert line_of(application) in line


def test_it_is_told_once_a_minute(monkeypatch):
    desk = Desk(setting(COOKIE), monkeypatch)
    for _ in range(5):
        desk.ask()
    assert len(desk.told) == 2
    desk.now += large_heads.EVERY_S
    for _ in range(5):
        desk.ask()
    assert len(desk.told) == 1


def test_a_head_of_just_as_many_bytes_is_none(monkeypatch):
    desk = Desk(setting("x" * 3000), monkeypatch)
    assert type(desk.ask()) is Response
    assert type(desk.ask()) is Response
    assert desk.told == []


@pytest.mark.parametrize(
    "blocks",
    [lambda: iter([b"a", b"b"]), lambda: iter([]), lambda: iter([b""]), lambda: FileWrapper(io.BytesIO(b"file"))],
    ids=["blocks", "nothing", "an empty block", "a file"],
)
def test_whatever_the_body_is_made_of(monkeypatch, blocks):
    desk = Desk(setting(COOKIE, blocks), monkeypatch)
    desk.ask("/basket")
    assert SENTENCE in desk.told[0][1]


def test_an_asgi_application_has_its_place_at_once():
    async def application(scope, receive, send):
        await send(start(headers=[(b"set-cookie", COOKIE.encode())]))
        await send(body(b"hello"))

    stage = serve(application)
    line = next(line for _, line in stage.log.lines if "head is large" in line)
    assert f"test_large_heads.py:{application.__code__.co_firstlineno + 2} in application" in line
