"""`http/h1_exchange.py`: reading a body, and every way a response begins, goes on and ends."""

import pytest

from ostler.http.connection import END, NEED_DATA, FileSlice
from ostler.http.errors import HttpError, ResponseError
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange
from ostler.http.limits import Limits
from tests.unit.http.exchanges import GET, SERVER, Exchanging, sent

OLD = b"GET / HTTP/1.0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + SERVER


# -- reading -----------------------------------------------------------------------------------------------------


def test_no_body(exchange_of: Exchanging) -> None:
    assert exchange_of().read() is END


def test_a_body_is_read_as_it_arrives(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(POST + b"\r\nhe")
    assert exchange.read() == b"he"
    assert exchange.read() is NEED_DATA
    connection.receive(b"llo" + GET)
    assert exchange.read(2) == b"ll"
    assert exchange.read(2) == b"o"
    assert exchange.read() is END
    assert exchange.read() is END


def test_a_size_must_be_positive(exchange_of: Exchanging) -> None:
    with pytest.raises(ValueError, match="size"):
        exchange_of(POST + b"\r\n").read(0)


def test_a_truncated_body_raises_at_every_read(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(POST + b"\r\nhel")
    connection.receive(b"")
    assert exchange.read() == b"hel"
    for _ in range(2):
        with pytest.raises(HttpError) as caught:
            exchange.read()
        assert caught.value.status == 400


def test_a_malformed_body_closes_behind_the_response(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nsize\r\n" + GET)
    with pytest.raises(HttpError):
        exchange.read()
    exchange.start(400, "Bad Request", [], 0)
    exchange.end()
    assert b"\r\nConnection: close\r\n" in sent(connection)
    assert connection.next_exchange() is None


@pytest.mark.parametrize("before", [b"", b"he", b"hello"])
def test_an_unread_body_never_looks_complete_after_the_end(
    connection: H1Connection, exchange_of: Exchanging, before: bytes
) -> None:
    exchange = exchange_of(POST + b"\r\n" + before)
    exchange.start(200, "OK", [], 0)
    exchange.end()
    connection.receive(b"hello"[len(before) :])
    with pytest.raises(HttpError):
        exchange.read()
    assert connection.head_started is False


def test_a_body_that_was_read_stays_complete_after_the_end(exchange_of: Exchanging) -> None:
    exchange = exchange_of(POST + b"\r\nhello")
    assert exchange.read() == b"hello"
    exchange.start(200, "OK", [], 0)
    exchange.end()
    assert exchange.read() is END


def test_100_continue_is_queued_once_by_the_first_read_that_finds_nothing(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    exchange = exchange_of(POST + b"Expect: 100-continue\r\n\r\n")
    assert sent(connection) == b""
    assert exchange.read() is NEED_DATA
    assert exchange.read() is NEED_DATA
    assert sent(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.receive(b"hello")
    assert exchange.read() == b"hello"
    exchange.start(200, "OK", [], 0)
    exchange.end()
    assert sent(connection) == OK + b"Content-Length: 0\r\n\r\n"
    assert not connection.closed


def test_no_100_continue_when_the_body_has_come(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(POST + b"Expect: 100-continue\r\n\r\nh")
    assert exchange.read() == b"h"
    assert exchange.read() is NEED_DATA
    assert sent(connection) == b""


def test_no_100_continue_after_the_final_response_started(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(POST + b"Expect: 100-continue\r\n\r\n")
    exchange.start(200, "OK", [], 0)
    assert exchange.read() is NEED_DATA
    assert b"100" not in sent(connection)


# -- informational responses -------------------------------------------------------------------------------------


def test_early_hints(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.inform(103, [("Link", "</a.css>; rel=preload")])
    assert sent(connection) == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    assert not exchange.started


def test_no_informational_response_for_http_1_0_or_after_the_start(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    exchange = exchange_of(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    exchange.inform(103, [])
    assert sent(connection) == b""
    exchange.start(200, "OK", [], 0)
    exchange.end()
    exchange = exchange_of()
    exchange.start(200, "OK", [], 0)
    sent(connection)
    exchange.inform(103, [])
    assert sent(connection) == b""


def test_bad_informational_responses_are_refused(exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    for status in (99, 101, 200):
        with pytest.raises(ResponseError):
            exchange.inform(status, [])
    with pytest.raises(ResponseError):
        exchange.inform(103, [("Link", "a\r\nX: 1")])


# -- framing -----------------------------------------------------------------------------------------------------


def respond(exchange: H1Exchange, *blocks: bytes, status: int = 200, length: int | None = None) -> None:
    fields = [] if length is None else [("Content-Length", str(length))]
    exchange.start(status, "OK", fields)
    for block in blocks:
        exchange.write(block)
    exchange.end()


def test_content_length_of_the_application(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    respond(exchange, b"he", b"", b"llo", length=5)
    assert connection.data_to_send() == [OK + b"Content-Length: 5\r\n\r\nhello"]
    assert (exchange.body_sent, exchange.finished) == (5, True)


def test_chunks_without_a_length(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    respond(exchange, b"hello", b"", b"x" * 16)
    chunks = b"5\r\nhello\r\n10\r\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n"
    assert sent(connection) == OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    assert exchange.body_sent == 21


def test_http_1_0_without_a_length_ends_with_the_connection(connection: H1Connection, exchange_of: Exchanging) -> None:
    respond(exchange_of(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), b"he", b"llo")
    assert sent(connection) == OK + b"Connection: close\r\n\r\nhello"
    assert connection.closed


def test_the_adapters_length_is_sent(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [], 0)
    exchange.end()
    assert sent(connection) == OK + b"Content-Length: 0\r\n\r\n"


def test_the_adapters_length_must_agree_with_the_applications(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    exchange = exchange_of()
    with pytest.raises(ResponseError):
        exchange.start(200, "OK", [("Content-Length", "5")], 10)
    assert not exchange.started
    assert sent(connection) == b""


@pytest.mark.parametrize(
    ("request_bytes", "status", "length", "sent_length"),
    [
        (HEAD, 200, 5, b"Content-Length: 5\r\n"),
        (HEAD, 200, None, b""),
        (GET, 204, 5, b""),
        (GET, 304, 5, b"Content-Length: 5\r\n"),
        (GET, 304, None, b""),
    ],
)
def test_responses_without_a_body_put_none_on_the_wire(
    connection: H1Connection,
    exchange_of: Exchanging,
    request_bytes: bytes,
    status: int,
    length: int | None,
    sent_length: bytes,
) -> None:
    exchange = exchange_of(request_bytes + GET)
    respond(exchange, b"hello", b"and more", status=status, length=length)
    assert sent(connection) == b"HTTP/1.1 %d OK\r\n" % status + SERVER + sent_length + b"\r\n"
    assert exchange.body_sent == 0
    assert connection.next_exchange() is not None


def test_a_body_longer_than_its_length_is_cut(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [("Content-Length", "5")])
    exchange.write(b"hel")
    with pytest.raises(ResponseError):
        exchange.write(b"lo, world")
    with pytest.raises(ResponseError):
        exchange.write(b"!")
    exchange.end()
    assert sent(connection) == OK + b"Content-Length: 5\r\n\r\nhello"
    assert exchange.body_sent == 5
    assert not connection.closed


def test_a_body_shorter_than_its_length_never_looks_complete(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(GET + GET)
    exchange.start(200, "OK", [("Content-Length", "5")])
    exchange.write(b"hel")
    assert sent(connection) == OK + b"Content-Length: 5\r\n\r\nhel"
    for _ in range(2):
        with pytest.raises(ResponseError):
            exchange.end()
    exchange.write(b"lo")
    assert not exchange.finished
    assert not exchange.restart()
    exchange.abort()
    assert sent(connection) == b""
    assert connection.closed
    assert connection.next_exchange() is None


def test_a_short_body_of_which_nothing_was_taken_becomes_an_error(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    exchange = exchange_of(GET + GET)
    exchange.start(200, "OK", [("Content-Length", "5")])
    with pytest.raises(ResponseError):
        exchange.end()
    assert exchange.restart()
    respond(exchange, b"oops", status=500, length=4)
    assert sent(connection) == (b"HTTP/1.1 500 OK\r\n" + SERVER + b"Content-Length: 4\r\nConnection: close\r\n\r\noops")
    assert connection.closed


def test_the_application_may_close(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [("Connection", "close")], 0)
    exchange.end()
    assert sent(connection) == OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    assert connection.closed


def test_the_application_may_not_keep_alive(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(OLD)
    exchange.start(200, "OK", [("Connection", "keep-alive")], 0)
    exchange.end()
    assert sent(connection) == OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n"


def test_an_upgrade_that_was_asked_for(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + GET)
    exchange.start(101, "Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")])
    exchange.end()
    assert sent(connection) == (
        b"HTTP/1.1 101 Switching Protocols\r\n" + SERVER + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    )
    assert connection.closed


def test_an_upgrade_that_was_not_asked_for(exchange_of: Exchanging) -> None:
    with pytest.raises(ResponseError):
        exchange_of().start(101, "Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")])


def test_other_upgrade_fields_are_not_sent(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(426, "Upgrade Required", [("Upgrade", "h2c")], 0)
    assert b"h2c" not in sent(connection)


@pytest.mark.parametrize("status", [100, 102, 199])
def test_an_informational_status_is_no_final_one(exchange_of: Exchanging, status: int) -> None:
    with pytest.raises(ResponseError):
        exchange_of().start(status, "x", [])


@pytest.mark.parametrize(
    ("status", "reason", "fields"),
    [
        (200, "a\r\nX: y", []),
        (20, "x", []),
        (200, "OK", [("X", "a\nb")]),
        (200, "OK", [("Content-Length", "-1")]),
    ],
)
def test_what_cannot_be_sent_queues_nothing(
    connection: H1Connection, exchange_of: Exchanging, status: int, reason: str, fields: list[tuple[str, str]]
) -> None:
    exchange = exchange_of()
    with pytest.raises(ResponseError):
        exchange.start(status, reason, fields)
    assert sent(connection) == b""
    respond(exchange, b"oops", status=500, length=4)
    assert sent(connection).endswith(b"\r\n\r\noops")


# -- files -------------------------------------------------------------------------------------------------------


def test_a_file_within_a_length(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [], 10)
    piece = FileSlice(9, 3, 10)
    assert exchange.write_file(piece)
    exchange.end()
    assert connection.data_to_send() == [OK + b"Content-Length: 10\r\n\r\n", piece]
    assert exchange.body_sent == 10


def test_a_file_that_ends_with_the_connection(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(OLD)
    exchange.start(200, "OK", [])
    assert exchange.write_file(FileSlice(9, 0, 10))
    exchange.end()
    assert connection.data_to_send()[1] == FileSlice(9, 0, 10)


def test_a_file_that_does_not_fit_is_left_to_the_caller(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    assert not exchange.write_file(FileSlice(9, 0, 5))
    exchange.start(200, "OK", [], 5)
    assert not exchange.write_file(FileSlice(9, 0, 6))
    assert not exchange.write_file(FileSlice(9, 0, 0))
    exchange.write(b"hello")
    exchange.end()
    assert not exchange.write_file(FileSlice(9, 0, 5))
    assert len(connection.data_to_send()) == 1


def test_no_file_for_head(exchange_of: Exchanging) -> None:
    exchange = exchange_of(HEAD)
    exchange.start(200, "OK", [], 5)
    assert not exchange.write_file(FileSlice(9, 0, 5))


def test_a_queued_file_cannot_be_taken_back(exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [], 5)
    exchange.write_file(FileSlice(9, 0, 5))
    assert not exchange.restart()


# -- restart and abort -------------------------------------------------------------------------------------------


def test_a_response_is_taken_back_and_another_started(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.inform(103, [])
    exchange.start(200, "OK", [])
    exchange.write(b"half")
    assert exchange.restart()
    assert (exchange.started, exchange.body_sent) == (False, 0)
    respond(exchange, b"oops", status=500, length=4)
    assert sent(connection) == (
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 OK\r\n" + SERVER + b"Content-Length: 4\r\n\r\noops"
    )


def test_a_response_behind_another_is_taken_back_alone(connection: H1Connection, exchange_of: Exchanging) -> None:
    respond(exchange_of(GET + GET), length=0)
    exchange = exchange_of(b"\r\n")
    exchange.start(200, "OK", [])
    assert exchange.restart()
    assert sent(connection) == OK + b"Content-Length: 0\r\n\r\n"
    respond(exchange, length=0)
    assert sent(connection) == OK + b"Content-Length: 0\r\n\r\n"


def test_a_response_that_was_taken_cannot_be_taken_back(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    assert exchange.restart()
    exchange.start(200, "OK", [])
    sent(connection)
    assert not exchange.restart()
    assert exchange.started
    exchange.end()
    assert not exchange.restart()


def test_abort_closes_without_an_end(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(GET + GET)
    exchange.start(200, "OK", [])
    exchange.write(b"half")
    exchange.abort()
    exchange.write(b"more")
    exchange.end()
    exchange.abort()
    assert (exchange.finished, exchange.aborted) == (True, True)
    assert sent(connection) == OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    assert connection.closed
    assert connection.next_exchange() is None


def test_after_abort_everything_is_ignored(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(POST + b"\r\n")
    exchange.abort()
    exchange.inform(103, [])
    exchange.start(200, "OK", [])
    exchange.write(b"x")
    exchange.end()
    assert sent(connection) == b""


def test_an_unread_body_never_looks_complete_after_abort_or_refusal(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    exchange = exchange_of(POST + b"\r\nhel")
    connection.refuse(HttpError(408))
    with pytest.raises(HttpError) as caught:
        exchange.read()
    assert caught.value.status == 408
    other = H1Connection(Limits(), connection.peer, connection.date)
    other.receive(POST + b"\r\nhel")
    second = other.next_exchange()
    assert second is not None
    second.abort()
    with pytest.raises(HttpError):
        second.read()


def test_abort_after_the_end_changes_nothing(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    respond(exchange, length=0)
    exchange.abort()
    assert not exchange.aborted
    assert not connection.closed


@pytest.mark.parametrize("call", ["start", "write", "end"])
def test_calls_out_of_order_are_errors(exchange_of: Exchanging, call: str) -> None:
    exchange = exchange_of()
    if call == "start":
        exchange.start(200, "OK", [], 0)
        with pytest.raises(ResponseError):
            exchange.start(200, "OK", [], 0)
        exchange.end()
        with pytest.raises(ResponseError):
            exchange.start(200, "OK", [], 0)
        with pytest.raises(ResponseError):
            exchange.write(b"x")
        with pytest.raises(ResponseError):
            exchange.end()
    elif call == "write":
        with pytest.raises(ResponseError):
            exchange.write(b"x")
    else:
        with pytest.raises(ResponseError):
            exchange.end()


def test_a_finished_response_is_neither_longer_nor_taken_back(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [])
    exchange.write(b"ok")
    exchange.end()
    assert not exchange.write_file(FileSlice(9, 0, 10))
    assert not exchange.restart()
    assert sent(connection).endswith(b"2\r\nok\r\n0\r\n\r\n")
