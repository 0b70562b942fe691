"""ASGI's websocket protocol and the pipe under it, with the client, its room and the drain in the test's hands."""

import asyncio

import pytest

from ostler.app.asgi_websocket import WebSocketTerms, serve_websocket
from ostler.app.websocket_pipe import QUEUED_MESSAGES
from ostler.app.wsgi_input import ClientGone
from tests.unit.app.asgi_serving import Live
from tests.unit.app.serving import Log
from tests.websocket.wire import binary, close, ping, pong, sent_frames, text

HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, news\r\n"
)
QUIET = WebSocketTerms(ping_interval_s=0, grace_s=0.01)
ACCEPT = {"type": "websocket.accept"}


class Pipeline(Live):
    """An exchange that can be upgraded."""

    def __init__(self, request=HANDSHAKE + b"\r\n", **more):
        super().__init__({}, request, **more)
        self.hear = None
        self.paused = False
        self.hung_up = False
        self.frames_sent = b""

    def upgrade(self, hear):
        self.hear = hear
        self.send()
        received = self.connection.received
        if unread := received.take(len(received)):
            hear(unread)
        self.resume()

    def write(self, data):
        if self.gone:
            raise ClientGone("the connection broke")
        self.frames_sent += data
        return self.has_room

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def hang_up(self):
        self.hung_up = True

    def says(self, data):
        """The client sends, whether somebody reads or not."""
        assert not self.paused
        self.hear(data)

    @property
    def frames(self):
        return [(frame.opcode, frame.payload) for frame in sent_frames(self.frames_sent)]


class Stage:
    """One session, in a running loop."""

    def __init__(self, application, *, terms=QUIET, **more):
        self.live = Pipeline(**more)
        self.log = Log()
        self.log.setLevel("DEBUG")
        self.scope = {"type": "websocket", "extensions": {"tls": {}}}
        self.task = asyncio.create_task(serve_websocket(self.live, self.scope, application, terms, self.log))

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    async def opened(self):
        await self.until(lambda: self.live.hear)

    @property
    def errors(self):
        return [message for level, message in self.log.lines if level == "ERROR"]


def serve(application, script=None, **options):
    """Serve one session to its end, while `script(stage)` plays the client; the stage, and how it ended."""

    async def play():
        stage = Stage(application, **options)
        if script is not None:
            await script(stage)
        async with asyncio.timeout(10):
            return stage, await stage.task

    return asyncio.run(play())


def application(*steps):
    """One that takes steps: messages to send, or "receive"; what it has received is in `heard`."""

    async def app(scope, receive, send):
        for step in ("receive", *steps):
            if step == "receive":
                app.heard.append(await receive())
            else:
                await send(step)

    app.heard = []
    return app


def disconnected(code, reason=""):
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


# -- the handshake -------------------------------------------------------------------------------------------------


async def goes_away(stage):
    """A client that opens, and closes at once."""
    await stage.opened()
    stage.live.says(close(1001))


def test_scope_and_answer_have_the_subprotocol_and_more_fields():
    app = application({**ACCEPT, "subprotocol": "news", "headers": [(b"X-A", b"1"), (b"Set-Cookie", b"a=b")]})
    stage, ending = serve(app, answer_close)
    assert stage.scope["subprotocols"] == ["chat", "news"]
    assert stage.scope["extensions"] == {"tls": {}, "websocket.http.response": {}}
    assert app.heard == [{"type": "websocket.connect"}]
    assert stage.live.status == 101
    fields = stage.live.fields
    assert fields["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (fields["Sec-WebSocket-Protocol"], fields["X-A"], fields["Set-Cookie"]) == ("news", "1", "a=b")
    assert ending.status == "101 Switching Protocols"
    assert stage.live.exchange.finished
    assert not stage.live.exchange.aborted


async def answer_close(stage):
    """The client answers the server's close."""
    await stage.until(lambda: stage.live.frames[-1:] and stage.live.frames[-1][0] == 8)
    stage.live.says(close(1000))


@pytest.mark.parametrize(
    "message",
    [
        {**ACCEPT, "subprotocol": "unknown"},
        {**ACCEPT, "headers": [(b"Sec-WebSocket-Protocol", b"chat")]},
        {**ACCEPT, "headers": [(b"sec-websocket-extensions", b"x")]},
        {**ACCEPT, "headers": [(b"X-A", b"1\r\nX-B: 2")]},
        {"type": "websocket.send", "text": "too early"},
        {"type": "http.response.start", "status": 200},
        {"type": "nonsense"},
    ],
    ids=str,
)
def test_a_mistake_before_the_answer_is_a_500(message):
    stage, ending = serve(application(message))
    assert stage.live.status == 500
    assert ending.status == "500 Internal Server Error"
    (line,) = stage.errors
    assert line.startswith("error in a websocket application path=/chat")


def test_an_application_that_says_nothing_is_a_500():
    stage, ending = serve(application())
    assert ending.status == "500 Internal Server Error"
    assert stage.errors == ["the application ended without an answer to the handshake path=/chat"]


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (HANDSHAKE.replace(b"13", b"8") + b"\r\n", "426 Upgrade Required"),
        (HANDSHAKE.replace(b"Q==", b"Q") + b"\r\n", "400 Bad Request"),
        (HANDSHAKE + b"Content-Length: 1\r\n\r\nx", "400 Bad Request"),
    ],
)
def test_a_bad_handshake_never_reaches_the_application(request_text, status):
    app = application()
    stage, ending = serve(app, request=request_text)
    assert ending.status == status
    assert stage.live.output.startswith(f"HTTP/1.1 {status}\r\n".encode())
    assert app.heard == []
    assert "Upgrade: websocket" in stage.live.output.decode() or status[:3] == "400"


def test_a_close_instead_of_an_answer_is_a_403():
    app = application({"type": "websocket.close", "code": 1008}, "receive")
    stage, ending = serve(app)
    assert (ending.status, stage.live.body) == ("403 Forbidden", b"403 Forbidden\n")
    assert app.heard[1:] == [disconnected(1006)]


def test_a_denial_of_one_message_has_a_length():
    app = application(
        {"type": "websocket.http.response.start", "status": 404, "headers": [(b"x-why", b"gone")]},
        {"type": "websocket.http.response.body", "body": b"no such room"},
        "receive",
    )
    stage, ending = serve(app)
    assert (ending.status, ending.sent, stage.live.body) == ("404 Not Found", 12, b"no such room")
    assert (stage.live.fields["Content-Length"], stage.live.fields["x-why"]) == ("12", "gone")
    assert app.heard[1:] == [disconnected(1006)]


def test_a_denial_waits_for_room():
    app = application(
        {"type": "websocket.http.response.start", "status": 404},
        {"type": "websocket.http.response.body", "body": b"a", "more_body": True},
        {"type": "websocket.http.response.body", "body": b"b"},
    )

    async def script(stage):
        await stage.until(lambda: stage.live.sent)
        assert not stage.live.output.endswith(b"1\r\nb\r\n0\r\n\r\n")
        stage.live.takes()

    stage, _ = serve(app, script, room=False)
    assert stage.live.output.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


def test_a_denial_that_is_not_finished_never_looks_complete():
    app = application(
        {"type": "websocket.http.response.start", "status": 404},
        {"type": "websocket.http.response.body", "body": b"a", "more_body": True},
    )
    stage, _ = serve(app)
    assert stage.live.exchange.aborted
    stage, ending = serve(application({"type": "websocket.http.response.start", "status": 404}))
    assert ending.status == "500 Internal Server Error"


def test_a_client_that_leaves_before_the_answer_is_a_disconnect():
    app = application("receive", ACCEPT)

    async def script(stage):
        await stage.until(lambda: app.heard)
        stage.live.leaves()

    stage, ending = serve(app, script, terms=WebSocketTerms(grace_s=5))
    assert app.heard[1:] == [disconnected(1006)]
    assert ending.status == ""
    assert stage.errors == [], "that accept fails then is no error of the application"


# -- messages ------------------------------------------------------------------------------------------------------


def test_messages_arrive_in_order_and_the_close_behind_them():
    app = application(ACCEPT, "receive", "receive", "receive", "receive")

    async def script(stage):
        await stage.opened()
        stage.live.says(text("a") + binary(b"b") + ping(b"?") + close(4000, "bye"))

    stage, _ = serve(app, script)
    assert app.heard[1:] == [
        {"type": "websocket.receive", "text": "a"},
        {"type": "websocket.receive", "bytes": b"b"},
        disconnected(4000, "bye"),
        disconnected(4000, "bye"),
    ]
    assert stage.live.frames == [(10, b"?"), (8, (4000).to_bytes(2, "big"))]


def test_a_client_that_says_too_much_is_not_read_until_somebody_listens():
    app = application(ACCEPT, *["receive"] * (QUEUED_MESSAGES + 3))

    async def script(stage):
        await stage.opened()
        live = stage.live
        live.hear(text("x") * (QUEUED_MESSAGES + 1) + close())
        assert live.paused
        await stage.until(lambda: not live.paused)

    serve(app, script)
    assert len(app.heard) == QUEUED_MESSAGES + 4
    assert app.heard[-1] == disconnected(1005)


def test_large_messages_count_as_many():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await gate.wait()
        while (await receive())["type"] == "websocket.receive":
            pass

    async def script(stage):
        gate.clear()
        await stage.opened()
        stage.live.says(binary(bytes(60_000)))
        stage.live.says(binary(bytes(60_000)))
        assert stage.live.paused
        gate.set()
        await stage.until(lambda: not stage.live.paused)
        stage.live.says(close())

    gate = asyncio.Event()
    serve(app, script)


def test_pings_are_not_answered_without_end_to_who_does_not_read():
    async def script(stage):
        await stage.opened()
        live = stage.live
        live.has_room = False
        live.says(ping(b"1"))
        assert live.paused
        assert live.frames == []
        live.takes()
        assert not live.paused
        assert live.frames == [(10, b"1")]
        live.says(close())

    serve(application(ACCEPT, "receive"), script)


def test_send_waits_for_room():
    done = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        for number in range(3):
            await send({"type": "websocket.send", "text": str(number)})
            done.append(number)
        await receive()

    async def script(stage):
        await stage.until(lambda: len(stage.live.frames) == 1)
        assert done == []
        stage.live.takes()
        await stage.until(lambda: len(done) == 3)
        stage.live.says(close())

    _, ending = serve(app, script, room=False)
    assert ending.sent == 3


def test_who_sends_all_the_time_lets_others_run():
    turns = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        while len(turns) < 3:
            await send({"type": "websocket.send", "text": "x"})

    async def script(stage):
        await stage.opened()
        while len(turns) < 3:
            turns.append(len(stage.live.frames))
            await asyncio.sleep(0)
        await answer_close(stage)

    serve(app, script)
    assert len(turns) == 3


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": None, "bytes": None},
        {"type": "websocket.send", "text": b"bytes"},
        {"type": "websocket.send", "bytes": "text"},
        {"type": "websocket.send", "text": "\ud800"},
        {"type": "websocket.close", "code": 1006},
        {"type": "websocket.close", "reason": "x" * 124},
        {"type": "websocket.accept"},
        {"type": "http.response.body"},
    ],
    ids=str,
)
def test_a_mistake_after_the_answer_is_1011(message):
    stage, _ = serve(application(ACCEPT, message), answer_close)
    assert stage.live.frames == [(8, (1011).to_bytes(2, "big"))]
    assert len(stage.errors) == 1


def test_either_of_text_and_bytes_may_be_none():
    app = application(
        ACCEPT,
        {"type": "websocket.send", "text": "a", "bytes": None},
        {"type": "websocket.send", "text": None, "bytes": b"b"},
        {"type": "websocket.send", "bytes": bytearray(b"c")},
        {"type": "websocket.close"},
        {"type": "websocket.close"},  # both sides may close at once
        "receive",
    )
    stage, ending = serve(app, answer_close)
    assert stage.live.frames == [(1, b"a"), (2, b"b"), (2, b"c"), (8, b"\x03\xe8")]
    assert app.heard[1:] == [disconnected(1000)]
    assert ending.sent == 3


def test_two_tasks_may_receive_and_each_message_goes_to_one():
    heard = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)

        async def listen():
            while (message := await receive())["type"] == "websocket.receive":
                heard.append(message["text"])

        await asyncio.gather(listen(), listen())

    async def script(stage):
        await stage.opened()
        stage.live.says(text("a") + text("b") + text("c") + close())

    serve(app, script)
    assert sorted(heard) == ["a", "b", "c"]


# -- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["leave", "break", "close"])
def test_sending_to_who_left_is_an_oserror(way):
    failed = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "text": "x"})
                await asyncio.sleep(0)
        except OSError as error:
            failed.append(error)
            raise

    async def script(stage):
        await stage.until(lambda: stage.live.frames)
        if way == "close":
            stage.live.says(close(1001))
        elif way == "break":
            stage.live.gone = True
        else:
            stage.live.left = True
            stage.live.hear(b"")

    stage, _ = serve(app, script)
    assert len(failed) == 1
    assert stage.errors == []


def test_an_exception_of_a_framework_for_a_client_that_left_is_no_error():
    class WebSocketDisconnect(Exception):
        """As Starlette's."""

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        raise WebSocketDisconnect

    stage, _ = serve(app, goes_away)
    assert stage.errors == []


def test_an_error_after_the_client_left_is_an_error():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        raise LookupError("cleaning up failed")

    stage, _ = serve(app, goes_away)
    assert len(stage.errors) == 1


def test_an_application_that_does_not_look_is_cancelled():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await asyncio.Event().wait()

    stage, _ = serve(app, goes_away)
    assert stage.errors == []


def test_a_client_that_is_not_read_and_leaves_is_noticed():
    """33 messages and a FIN must not hold a place for ever."""

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await asyncio.Event().wait()

    async def script(stage):
        await stage.opened()
        stage.live.says(text("x") * (QUEUED_MESSAGES + 1))
        assert stage.live.paused
        stage.live.left = True
        stage.live.changed()
        await stage.until(lambda: stage.live.frames)
        assert stage.live.frames[0][1][:2] == (1011).to_bytes(2, "big")
        stage.live.hear(b"")

    stage, _ = serve(app, script)
    assert stage.errors == []


@pytest.mark.parametrize("app", [application("receive"), application("receive", ACCEPT)])
def test_a_client_that_leaves_during_the_handshake_is_no_error(app):
    async def script(stage):
        await asyncio.sleep(0)
        stage.live.left = True
        stage.live.changed()

    app.heard.clear()
    stage, ending = serve(app, script)
    assert app.heard[1:] == [disconnected(1006)]
    assert (stage.errors, ending.status) == ([], "")


def test_a_client_that_had_left_before_holds_nobody():
    async def app(scope, receive, send):
        await asyncio.Event().wait()

    async def play():
        stage = Stage(app)
        stage.live.left = True
        async with asyncio.timeout(5):
            await stage.task
        return stage

    assert asyncio.run(play()).errors == []


def test_an_application_that_closes_may_go_on_as_long_as_it_likes():
    ended = []

    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close"})
        await asyncio.sleep(0.05)  # five times the grace
        ended.append(app.stage.live.hung_up)

    async def script(stage):
        app.stage = stage
        await answer_close(stage)

    serve(app, script)
    assert ended == [True], "the client did not have to wait for it"


def test_a_client_that_breaks_the_rules_is_told_and_so_is_the_application():
    app = application(ACCEPT, "receive")

    async def script(stage):
        await stage.opened()
        stage.live.says(text(b"\xff"))

    stage, _ = serve(app, script)
    assert app.heard[1:] == [disconnected(1007, "a text message must be UTF-8")]
    assert stage.live.frames[0][1][:2] == (1007).to_bytes(2, "big")
    line = f'websocket failed code=1007 peer={stage.live.exchange.peer.text} reason="a text message must be UTF-8"'
    assert ("INFO", line) in stage.log.lines


def test_a_drain_is_1012_on_both_sides():
    app = application(ACCEPT, "receive")

    async def script(stage):
        await stage.opened()
        stage.live.drains()
        stage.live.drains()
        await answer_close(stage)

    stage, _ = serve(app, script)
    assert stage.live.frames == [(8, (1012).to_bytes(2, "big") + b"service restart")]
    assert app.heard[1:] == [disconnected(1012, "service restart")]


def test_who_is_accepted_while_draining_hears_1012_at_once():
    app = application(ACCEPT, "receive")

    async def script(stage):
        stage.live.draining = True
        await answer_close(stage)

    serve(app, script)
    assert app.heard[1:] == [disconnected(1012, "service restart")]


def test_a_client_that_does_not_answer_our_close_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr("ostler.app.websocket_pipe.CLOSE_WAIT_S", 0.01)
    stage, _ = serve(application(ACCEPT))
    assert stage.live.frames == [(8, b"\x03\xe8")]
    assert stage.live.exchange.finished


@pytest.mark.parametrize("accepts", [True, False])
def test_who_cancels_the_session_cancels_the_application(accepts):
    """An open one is closed, and has an ending as others: a stop must not cost a warning for each of a thousand."""
    ended = []

    async def app(scope, receive, send):
        try:
            if accepts:
                await send(ACCEPT)
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def script(stage):
        if accepts:
            await stage.opened()
        else:
            await asyncio.sleep(0.01)
        stage.task.cancel()

    if accepts:
        stage, ending = serve(app, script)
        assert stage.live.frames == [(8, (1012).to_bytes(2, "big") + b"service restart")]
        assert (stage.log.lines, ending.status) == ([], "101 Switching Protocols")
    else:
        with pytest.raises(asyncio.CancelledError):
            serve(app, script)
    assert ended == [True]


# -- pings ---------------------------------------------------------------------------------------------------------


def pinging(interval_s, timeout_s):
    return WebSocketTerms(ping_interval_s=interval_s, ping_timeout_s=timeout_s, grace_s=5)


def test_a_silent_client_is_pinged_and_given_up():
    app = application(ACCEPT, "receive")
    stage, _ = serve(app, terms=pinging(0.01, 0.01))
    assert stage.live.frames == [(9, b""), (8, (1011).to_bytes(2, "big") + b"no answer to a ping")]
    assert app.heard[1:] == [disconnected(1011, "no answer to a ping")]


@pytest.mark.parametrize("answer", [pong(), text("busy")])
def test_whatever_comes_is_a_sign_of_life(answer):
    async def script(stage):
        await stage.opened()
        for count in range(1, 5):
            await stage.until(lambda wanted=count: stage.live.frames_sent.count(b"\x89\x00") == wanted)
            stage.live.says(answer)
        stage.live.says(close())

    app = application(ACCEPT, *["receive"] * 5)
    serve(app, script, terms=pinging(0.005, 2))
    assert app.heard[-1] == disconnected(1005)


def test_without_a_timeout_nobody_is_given_up():
    async def script(stage):
        await stage.until(lambda: len(stage.live.frames) == 3)
        stage.live.says(close())

    stage, _ = serve(application(ACCEPT, "receive"), script, terms=pinging(0.005, 0))
    assert [opcode for opcode, _ in stage.live.frames[:3]] == [9, 9, 9]


def test_a_client_that_is_not_read_is_not_judged():
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await gate.wait()
        while (await receive())["type"] == "websocket.receive":
            pass

    async def script(stage):
        await stage.opened()
        assert stage.live.paused
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.05  # ten times interval and timeout
        await stage.until(lambda: loop.time() > end)
        assert stage.live.frames == []
        gate.set()
        await stage.until(lambda: not stage.live.paused)
        stage.live.says(close())

    gate = asyncio.Event()
    early = HANDSHAKE + b"\r\n" + binary(bytes(70_000))
    serve(app, script, terms=pinging(0.005, 0.005), request=early)
