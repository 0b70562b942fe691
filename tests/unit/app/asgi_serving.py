"""Serving one request with a real connection and an ASGI application, without a socket: see `serve`."""

import asyncio

from ostler.app.asgi import AsgiAdapter
from ostler.app.asgi_websocket import WebSocketTerms
from ostler.app.environ import EnvironTemplate
from ostler.app.scope import ScopeTemplate
from ostler.app.wsgi_input import BodyIncomplete, ClientGone
from ostler.config.settings import Settings
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from tests.unit.app.serving import GET, PEER, Log, sent_by

TICK_S = 0.01


class Client:
    def __init__(self, environ):
        self.environ = environ


class Live:
    """What drivers/live.py is for the adapter, with the client in the test's hands."""

    def __init__(self, environ, request, room=True):
        self.connection = H1Connection(Limits(), PEER, DateField(784111777))
        self.connection.receive(request)
        self.exchange = self.connection.next_exchange()
        self.client = Client(environ)
        self.row = 0
        self.changed = lambda: None
        self.left = False
        self.draining = False
        self.has_room = room
        self.gone = False
        self.finishes = 0
        self.sent = []
        self.files = 0

    def read(self, size=65536):
        try:
            return self.exchange.read(size)
        except HttpError as error:
            raise BodyIncomplete(error) from error

    def want(self):
        self.send()

    def send(self):
        if self.gone:
            raise ClientGone("the connection broke")
        data, files = sent_by(self.connection)
        self.files += files
        if data:
            self.sent.append(data)
        return self.has_room

    def finish(self):
        self.finishes += 1
        self.changed = lambda: None
        if not self.exchange.finished:
            self.exchange.abort()
        if not self.gone:
            self.send()

    # -- the client ------------------------------------------------------------------------------------------

    def arrives(self, data):
        self.connection.receive(data)
        self.changed()

    def leaves(self):
        self.left = True
        self.changed()

    def breaks(self):
        self.gone = True
        self.leaves()

    def takes(self):
        self.has_room = True
        self.changed()

    def drains(self):
        self.draining = True
        self.changed()

    @property
    def output(self):
        return b"".join(self.sent)

    @property
    def status(self):
        return int(self.output.split(b" ", 2)[1])

    @property
    def body(self):
        return self.output.partition(b"\r\n\r\n")[2]

    @property
    def fields(self):
        head = self.output.partition(b"\r\n\r\n")[0].decode()
        return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


class Spans:
    """Remembers how each span ended."""

    wants_environ = True

    def __init__(self):
        self.ended = []

    def begin(self, row, head):
        return self

    def pre_request(self, peer, scheme):
        pass

    def end(self, *facts):
        self.ended.append(facts)


class Stage:
    """An adapter with one exchange; made in a running loop."""

    def __init__(self, application, request=GET, *, room=True, grace_s=3, sendfile=True, state=None, before=None):
        self.log = Log()
        self.log.setLevel("DEBUG")
        self.spans = Spans()
        template = EnvironTemplate(Settings.defaults(), {}, {})
        self.adapter = AsgiAdapter(
            application=application,
            scopes=ScopeTemplate(template),
            template=template,
            spans=self.spans,
            loop=asyncio.get_running_loop(),
            websockets=WebSocketTerms(),
            log=self.log,
            grace_s=grace_s,
            sendfile=sendfile,
        )
        self.adapter.state = state or {}
        self.live = Live(template.for_connection(PEER), request, room)
        if before is not None:
            before(self.live)
        self.adapter.start(self.live)

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)

    async def over(self):
        """Until every task is."""
        await self.until(lambda: not self.adapter.tasks)

    @property
    def errors(self):
        return [message for level, message in self.log.lines if level == "ERROR"]


def serve(application, request=GET, script=None, **options):
    """Serve one request to its end, while `script(stage)` plays the client; the stage."""

    async def play():
        stage = Stage(application, request, **options)
        if script is not None:
            await script(stage)
        await stage.over()
        return stage

    return asyncio.run(play())


def start(status=200, headers=(), **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}
