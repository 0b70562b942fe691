"""ASGI's http protocol, message by message: what the client gets, what the application is told, what is logged."""

import asyncio
import contextvars

import pytest

from tests.unit.app.asgi_serving import TICK_S, body, serve, start
from tests.unit.app.serving import GET

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
TE = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n"


def answering(*messages):
    async def application(scope, receive, send):
        for message in messages:
            await send(message)

    return application


async def read_all(receive):
    received = []
    while True:
        message = await receive()
        received.append(message)
        if message["type"] != "http.request" or not message["more_body"]:
            return received


# -- the response --------------------------------------------------------------------------------------------------


def test_a_response_of_one_message_has_a_length_and_is_sent_at_once():
    live = serve(answering(start(headers=[(b"content-type", b"text/plain")]), body(b"hello"))).live
    assert (live.status, live.body, len(live.sent), live.finishes) == (200, b"hello", 1, 1)
    assert live.fields["Content-Length"] == "5"
    assert live.fields["content-type"] == "text/plain"


def test_a_response_of_several_messages_is_sent_as_it_comes():
    live = serve(answering(start(), body(b"ab", more=True), body(b"cd", more=True), body())).live
    assert [piece.partition(b"\r\n\r\n")[2] for piece in live.sent[:1]] == [b"2\r\nab\r\n"]
    assert live.sent[1:] == [b"2\r\ncd\r\n", b"0\r\n\r\n"]


def test_an_empty_body_message_brings_the_head_out():
    live = serve(answering(start(), body(more=True), body(b"x"))).live
    assert live.sent[0].endswith(b"\r\n\r\n")
    assert live.status == 200


def test_more_than_the_declared_length_closes_the_connection():
    stage = serve(answering(start(headers=[(b"content-length", b"2")]), body(b"abc", more=True), body()))
    assert stage.live.status == 500  # nothing was sent yet
    assert "longer than its Content-Length" in stage.errors[0]


def test_less_than_the_declared_length_never_looks_complete():
    stage = serve(answering(start(headers=[(b"content-length", b"5")]), body(b"abc", more=True), body()))
    assert stage.live.body == b"abc"
    assert stage.live.connection.closed
    assert "shorter than its Content-Length" in stage.errors[0]


def test_head_has_no_body():
    request = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    live = serve(answering(start(headers=[(b"content-length", b"5")]), body(b"hello")), request).live
    assert (live.fields["Content-Length"], live.body) == ("5", b"")


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_none(status):
    live = serve(answering(start(status), body(b"hello"))).live
    assert (live.status, live.body) == (status, b"")
    assert not live.connection.closed


def test_a_buffer_that_is_used_again_is_copied():
    live = serve(answering(start(), body(bytearray(b"ab"), more=True), body(memoryview(b"cd")))).live
    assert live.body == b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"


def test_trailers_reach_a_client_that_takes_them():
    messages = (
        start(trailers=True),
        body(b"ab"),
        {"type": "http.response.trailers", "headers": [(b"a", b"1")], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"b", b"2")]},
    )
    assert serve(answering(*messages), TE).live.body == b"2\r\nab\r\n0\r\na: 1\r\nb: 2\r\n\r\n"
    assert serve(answering(*messages)).live.body == b"2\r\nab\r\n0\r\n\r\n"


def test_trailers_that_never_come_are_none():
    assert serve(answering(start(trailers=True), body(b"ab")), TE).live.body == b"2\r\nab\r\n0\r\n\r\n"


@pytest.mark.parametrize("name", [b"content-length", b"Host", b"set-cookie"])
def test_a_trailer_that_would_change_the_message_is_refused(name):
    messages = start(trailers=True), body(b"ab", more=True), body()
    stage = serve(answering(*messages, {"type": "http.response.trailers", "headers": [(name, b"1")]}), TE)
    assert "cannot be a trailer" in stage.errors[0]
    assert not stage.live.output.endswith(b"0\r\n\r\n")


def test_early_hints_come_before_the_response():
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    more = {"type": "http.response.informational", "status": 103, "headers": [(b"x", b"1")]}
    live = serve(answering(more, start(), hint, body(b"x"))).live
    assert live.sent[0] == b"HTTP/1.1 103 Early Hints\r\nx: 1\r\n\r\n"
    assert live.sent[1] == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    assert live.sent[2].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("sendfile", [True, False])
def test_pathsend_sends_a_file(tmp_path, sendfile):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 200_000)
    stage = serve(answering(start(), {"type": "http.response.pathsend", "path": str(path)}), sendfile=sendfile)
    assert stage.live.body == b"x" * 200_000
    assert stage.live.fields["Content-Length"] == "200000"
    assert stage.live.files == sendfile
    assert stage.spans.ended[0][-1] == 200_000


def test_pathsend_answers_head_and_empty_files(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"")
    message = {"type": "http.response.pathsend", "path": str(path)}
    assert serve(answering(start(), message)).live.fields["Content-Length"] == "0"
    path.write_bytes(b"abc")
    live = serve(answering(start(), message), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").live
    assert (live.fields["Content-Length"], live.body) == ("3", b"")


def test_pathsend_of_no_file_is_the_applications_error(tmp_path):
    stage = serve(answering(start(), {"type": "http.response.pathsend", "path": str(tmp_path / "none")}))
    assert stage.live.status == 500
    assert "FileNotFoundError" in stage.errors[0]


# -- mistakes of the application -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([body(b"x")], "expected the message 'http.response.start', the application sent 'http.response.body'"),
        ([start(), start()], "expected the message 'http.response.body', the application sent 'http.response.start'"),
        ([{"type": "http.response.push"}], "the application sent 'http.response.push'"),
        ([{"status": 200}], "expected a dict with a type"),
        ([None], "expected a dict with a type"),
        ([start(status="200")], "expected an int for status, found str"),
        ([start(status=True)], "expected an int for status, found bool"),
        ([{"type": "http.response.start"}], "expected an int for status, found NoneType"),
        ([start(), body("text")], "expected bytes for body, found str"),
        ([start(headers=[(b"a", 1)]), body()], "expected bytes in headers, found int"),
        ([start(headers=[b"abc"]), body()], "expected headers as pairs of bytes"),
        ([start(headers=[(b"a b", b"1")]), body()], "name must be a token"),
        ([start(headers=[(b"a", b"1\r\nb: 2")]), body()], "a control character"),
        ([start(150), body()], "a final response has a status"),
        ([start(1000), body()], "a status must be a whole number of three digits"),
        ([start(), {"type": "http.response.pathsend", "path": b"/a"}], "expected a str for path"),
    ],
)
def test_a_wrong_message_raises_into_the_application_and_is_answered_with_500(messages, text):
    raised = []

    async def application(scope, receive, send):
        try:
            for message in messages:
                await send(message)
        except Exception as error:
            raised.append(str(error))
            raise

    stage = serve(application)
    assert text in raised[0]
    assert stage.live.status == 500
    assert len(stage.errors) == 1
    assert stage.live.finishes == 1


def test_a_message_behind_the_end_raises_and_changes_nothing():
    stage = serve(answering(start(), body(b"x"), body(b"y")))
    assert stage.live.body == b"x"
    assert "error after the response was complete" in stage.errors[0]
    assert "came after the response was complete" in stage.errors[0]


def test_headers_may_be_text_and_any_iterable():
    live = serve(answering({**start(), "headers": iter([("a", b"1"), (b"b", "2")])}, body())).live
    assert (live.fields["a"], live.fields["b"]) == ("1", "2")


@pytest.mark.parametrize("messages", [[], [start()]])
def test_an_application_that_returns_without_a_response_is_a_500(messages):
    stage = serve(answering(*messages))
    assert stage.live.status == 500
    assert "returned before its response was complete" in stage.errors[0]


def test_an_application_that_returns_in_the_middle_closes_the_connection():
    stage = serve(answering(start(), body(b"ab", more=True)))
    assert stage.live.body == b"2\r\nab\r\n"
    assert stage.live.connection.closed
    assert "returned before its response was complete" in stage.errors[0]
    assert stage.spans.ended[0][1] == "200 OK"


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("waits", [True, False])
def test_an_exception_costs_its_own_request_only(error, waits):
    async def application(scope, receive, send):
        if waits:
            await asyncio.sleep(0)
        raise error

    stage = serve(application)
    assert stage.live.status == 500
    assert type(error).__name__ in stage.errors[0]
    assert "in application" in stage.errors[0]  # the user's traceback
    assert "ostler" not in stage.errors[0].partition("Traceback")[2].replace("tests", "")
    assert stage.spans.ended[0][1] == "500 Internal Server Error"


def test_an_exception_in_the_middle_never_looks_like_the_end():
    async def application(scope, receive, send):
        await send(start())
        await send(body(b"ab", more=True))
        raise ValueError("oops")

    stage = serve(application)
    assert stage.live.body == b"2\r\nab\r\n"
    assert stage.live.connection.closed


def test_an_application_that_cancels_itself_is_an_error():
    async def application(scope, receive, send):
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    stage = serve(application)
    assert stage.live.status == 500
    assert "CancelledError" in stage.errors[0]


def test_a_hook_that_raises_is_a_500_without_a_call(monkeypatch):
    called = []

    async def application(scope, receive, send):
        called.append(scope)

    def refuse(self, peer, scheme):
        raise SystemExit(1)

    monkeypatch.setattr("tests.unit.app.asgi_serving.Spans.pre_request", refuse)
    assert serve(application).live.status == 500
    assert not called


# -- the request ---------------------------------------------------------------------------------------------------


def test_a_request_without_a_body_is_one_message_then_a_disconnect():
    received = []

    async def application(scope, receive, send):
        received.append(await receive())
        await send(start())
        await send(body(b"x"))
        received.append(await receive())

    serve(application)
    assert received == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


def test_a_body_is_received_as_it_comes():
    received = []

    async def application(scope, receive, send):
        received.append(await receive())
        received.append(await receive())
        await send(start())
        await send(body())

    async def script(stage):
        await stage.until(lambda: stage.live.exchange.waits_for_body)
        stage.live.arrives(b"ab")
        await stage.until(lambda: len(received) == 1)
        stage.live.arrives(b"cd")

    serve(application, POST, script)
    assert received == [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"cd", "more_body": False},
    ]


def test_a_chunked_body_ends_with_its_last_chunk():
    received = []

    async def application(scope, receive, send):
        received.extend(await read_all(receive))
        await send(start())
        await send(body())

    async def script(stage):
        await stage.until(lambda: stage.live.exchange.waits_for_body)
        stage.live.arrives(b"2\r\nab\r\n")
        await asyncio.sleep(0)
        stage.live.arrives(b"0\r\n\r\n")

    serve(application, CHUNKED, script)
    assert b"".join(message["body"] for message in received) == b"ab"


def test_a_client_that_waits_for_100_gets_it_when_the_body_is_asked_for():
    async def application(scope, receive, send):
        await read_all(receive)
        await send(start())
        await send(body())

    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"

    async def script(stage):
        await stage.until(lambda: stage.live.sent)
        assert stage.live.sent == [b"HTTP/1.1 100 Continue\r\n\r\n"]
        stage.live.arrives(b"abcd")

    live = serve(application, request, script).live
    assert live.sent[1].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_head", "rest", "status"), [(POST, b"", 400), (CHUNKED, b"zz\r\n", 400)], ids=["broken off", "malformed"]
)
def test_a_body_that_is_not_whole_is_a_disconnect_and_never_an_end(request_head, rest, status):
    received = []

    async def application(scope, receive, send):
        received.extend(await read_all(receive))
        await send(start())

    async def script(stage):
        await stage.until(lambda: stage.live.exchange.waits_for_body)
        stage.live.arrives(rest)

    stage = serve(application, request_head, script)
    assert received == [{"type": "http.disconnect"}]
    assert stage.live.status == status
    assert not stage.errors


def test_two_tasks_of_one_application_may_wait_at_once():
    received = []

    async def application(scope, receive, send):
        await receive()
        received.extend(await asyncio.gather(receive(), receive()))

    async def script(stage):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stage.live.leaves()

    serve(application, script=script)
    assert received == [{"type": "http.disconnect"}] * 2


# -- a client that leaves, or takes nothing ------------------------------------------------------------------------


def test_send_waits_while_the_client_takes_nothing():
    sent = []

    async def application(scope, receive, send):
        await send(start())
        for _ in range(3):
            await send(body(b"x", more=True))
            sent.append(1)
        await send(body())

    async def script(stage):
        await stage.until(lambda: stage.live.sent)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not sent
        stage.live.takes()

    assert serve(application, script=script, room=False).live.output.endswith(b"0\r\n\r\n")
    assert len(sent) == 3


def test_who_has_left_is_told_and_cancelled_after_the_grace_period():
    heard = []

    async def application(scope, receive, send):
        await receive()
        heard.append(await receive())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def script(stage):
        await asyncio.sleep(0)
        stage.live.leaves()

    stage = serve(application, script=script, grace_s=0.01)
    assert heard == [{"type": "http.disconnect"}, "cancelled"]
    assert not stage.errors
    assert stage.live.finishes == 1


def test_send_raises_oserror_once_the_transport_is_dead():
    raised = []

    async def application(scope, receive, send):
        await send(start())
        try:
            while True:
                await send(body(b"x", more=True))
                await asyncio.sleep(0)
        except OSError as error:
            raised.append(error)
            raise

    async def script(stage):
        await stage.until(lambda: stage.live.sent)
        stage.live.breaks()

    stage = serve(application, script=script)
    assert len(raised) == 1
    assert not stage.errors


def test_a_client_that_only_closed_its_sending_side_gets_its_response():
    async def application(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await send(start())
        await send(body(b"still here"))

    def leave(live):
        live.left = True

    assert serve(application, before=leave).live.body == b"still here"


def test_what_frameworks_make_of_a_disconnect_is_no_error():
    class ClientDisconnect(Exception):
        pass

    async def application(scope, receive, send):
        await receive()
        await receive()
        raise BaseExceptionGroup("group", [ClientDisconnect()])

    async def script(stage):
        await asyncio.sleep(0)
        stage.live.leaves()

    stage = serve(application, script=script)
    assert not stage.errors


@pytest.mark.parametrize("broken", [b"", CHUNKED], ids=["left", "broke-off"])
def test_what_is_raised_because_the_client_has_left_is_one_line(broken):
    async def application(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ZeroDivisionError

    async def script(stage):
        await asyncio.sleep(0)
        if broken:
            stage.live.arrives(b"zz\r\n")
        else:
            stage.live.leaves()

    stage = serve(application, broken or GET, script)
    assert not stage.errors
    (line,) = [message for level, message in stage.log.lines if level == "INFO"]
    assert ("request ended early" if broken else "ZeroDivisionError") in line
    assert "\n" not in line
    assert any(level == "DEBUG" and "Traceback" in message for level, message in stage.log.lines)


def test_an_error_that_has_nothing_to_do_with_the_client_is_an_error_though_it_has_left():
    async def application(scope, receive, send):
        raise ConnectionError("the database")

    def leave(live):
        live.left = True

    stage = serve(application, before=leave)
    assert "the database" in stage.errors[0]
    assert stage.live.status == 500


def test_a_background_task_is_not_cancelled_because_the_client_left_before_the_response_was_complete():
    done = []

    async def application(scope, receive, send):
        await receive()
        await receive()
        await send(start())
        await send(body(b"x"))
        await asyncio.sleep(5 * TICK_S)
        done.append(True)
        raise ConnectionError("the database")

    async def script(stage):
        await asyncio.sleep(0)
        stage.live.leaves()

    stage = serve(application, script=script, grace_s=TICK_S)
    assert done
    assert "error after the response was complete" in stage.errors[0]


def test_a_client_that_takes_everything_at_once_does_not_keep_the_loop():
    async def application(scope, receive, send):
        await send(start())
        while not over:
            await send(body(b"x", more=True))

    over = []

    async def script(stage):
        for _ in range(3):
            await asyncio.sleep(0)
        over.append(True)

    assert serve(application, script=script).live.sent


def test_what_an_application_does_behind_its_response_holds_nobody():
    done = []

    async def application(scope, receive, send):
        await send(start())
        await send(body(b"x"))
        await asyncio.sleep(0.01)
        done.append(1)

    async def script(stage):
        await stage.until(lambda: stage.live.finishes)
        assert not done
        assert stage.adapter.tasks
        assert len(stage.spans.ended) == 1

    serve(application, script=script)
    assert done


def test_an_event_stream_is_ended_properly_when_the_worker_drains():
    heard = []

    async def application(scope, receive, send):
        await send(start(headers=[(b"Content-Type", b"text/event-stream; charset=utf-8")]))
        await send(body(b"data: 1\n\n", more=True))
        await receive()
        heard.append(await receive())
        try:
            await send(body(b"data: 2\n\n", more=True))
        except OSError as error:
            heard.append(str(error))
            raise

    async def script(stage):
        await stage.until(lambda: stage.live.sent)
        stage.live.drains()
        assert stage.live.finishes == 1

    stage = serve(application, script=script)
    assert stage.live.output.endswith(b"0\r\n\r\n")
    assert heard[0] == {"type": "http.disconnect"}
    assert "the worker leaves" in heard[1]
    assert not stage.errors


def test_an_event_stream_that_listens_to_nobody_is_cancelled():
    async def application(scope, receive, send):
        await send(start(headers=[(b"content-type", b"text/event-stream")]))
        await send(body(b"data: 1\n\n", more=True))
        await asyncio.sleep(60)

    async def script(stage):
        await stage.until(lambda: stage.live.sent)
        stage.live.drains()

    assert not serve(application, script=script, grace_s=0.01).errors


def test_other_long_responses_may_go_on_while_the_worker_drains():
    async def application(scope, receive, send):
        await send(start())
        await send(body(b"a", more=True))
        await asyncio.sleep(0.01)
        await send(body(b"b"))

    async def script(stage):
        await stage.until(lambda: stage.live.sent)
        stage.live.drains()

    assert serve(application, script=script).live.body == b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"


def test_what_is_cut_off_at_the_workers_end_gets_a_503():
    async def application(scope, receive, send):
        await asyncio.sleep(60)

    async def script(stage):
        await asyncio.sleep(0)
        stage.adapter.cancel_all()

    stage = serve(application, script=script)
    assert stage.live.status == 503
    assert not stage.errors


# -- scopes, state, context ----------------------------------------------------------------------------------------


def test_each_request_has_its_own_copy_of_the_state():
    shared = {"pool": [1]}

    async def application(scope, receive, send):
        scope["state"]["pool"].append(2)
        scope["state"]["mine"] = 1
        await send(start())
        await send(body())

    serve(application, state=shared)
    assert shared == {"pool": [1, 2]}


def test_context_variables_of_one_request_are_its_own():
    variable = contextvars.ContextVar("variable", default="none")

    async def application(scope, receive, send):
        variable.set("mine")
        await send(start())
        await send(body())

    async def script(stage):
        await stage.over()
        assert variable.get() == "none"

    serve(application, script=script)


def test_a_field_that_header_map_refuses_is_answered_before_the_application():
    stage = serve(answering(start(), body()), b"GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n")
    assert stage.live.status == 200  # dropped by default
