"""`http/h1.py`: the life of a connection, from its first byte to its close."""

import time

import pytest

from ostler.http.connection import NEED_DATA, FileSlice, Peer, Wait
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import JOIN_BYTES, LAST_EXCHANGES, UNREAD_BYTES, H1Connection
from ostler.http.h1_exchange import DISCARD_BYTES, H1Exchange
from ostler.http.limits import Limits
from tests.unit.http.exchanges import GET, SERVER, Exchanging, sent


def post(length: int, minor: int = 1, more: str = "") -> bytes:
    return f"POST /post HTTP/1.{minor}\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def answer(exchange: H1Exchange, body: bytes = b"ok") -> None:
    exchange.start(200, "OK", [], len(body))
    exchange.write(body)
    exchange.end()


def waiting(connection: H1Connection) -> Wait:
    return connection.waiting_for


def answered(body: bytes = b"ok", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + SERVER + b"Content-Length: %d\r\n%b\r\n%b" % (len(body), more, body)


# -- exchanges, one after the other ------------------------------------------------------------------------------


def test_a_request_and_its_response(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    assert exchange.head.path == "/"
    assert exchange.peer is connection.peer
    assert exchange.connection is connection
    answer(exchange)
    assert connection.data_to_send() == [answered()]
    assert connection.data_to_send() == []
    assert not connection.closed


def test_there_is_no_next_exchange_while_one_is_unfinished(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(GET + GET)
    assert connection.next_exchange() is None
    exchange.start(200, "OK", [], 0)
    assert connection.next_exchange() is None
    exchange.end()
    assert connection.next_exchange() is not None


def test_pipelined_requests_are_answered_in_order(connection: H1Connection) -> None:
    connection.receive(post(5) + b"hello" + GET + post(0) + GET[:10])
    paths = []
    while (exchange := connection.next_exchange()) is not None:
        paths.append(exchange.head.method)
        answer(exchange, exchange.head.method.encode())
    assert paths == ["POST", "GET", "POST"]
    assert sent(connection) == answered(b"POST") + answered(b"GET") + answered(b"POST")
    connection.receive(GET[10:])
    assert connection.next_exchange() is not None


def test_thousands_of_pipelined_requests_cost_linear_time(connection: H1Connection) -> None:
    def seconds(count: int) -> float:
        data = GET * count
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            connection.receive(data[:-1])
            connection.receive(data[-1:])
            served = 0
            while (exchange := connection.next_exchange()) is not None:
                answer(exchange)
                served += 1
            connection.data_to_send()
            best = min(best, time.process_time() - start)
            assert served == count
        return best

    assert seconds(8000) < 24 * seconds(1000)


def test_a_large_block_is_not_copied(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    body = b"x" * (JOIN_BYTES + 1)
    answer(exchange, body)
    head, sent_body = connection.data_to_send()
    assert isinstance(head, bytes)
    assert sent_body is body


def test_small_pieces_are_joined_around_large_ones_and_files(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [])
    large, piece = b"x" * (JOIN_BYTES + 1), FileSlice(9, 0, 10)
    for block in (b"a", b"b", large):
        exchange.write(block)
    exchange.write_file(piece)
    exchange.end()
    output = connection.data_to_send()
    assert output[1] is large
    assert output[3] is piece
    assert output[2] == b"\r\na\r\n"
    assert output[4] == b"\r\n0\r\n\r\n"
    assert len(output) == 5


# -- what is waited for ------------------------------------------------------------------------------------------


def test_waiting_for_through_the_life_of_a_connection(connection: H1Connection) -> None:
    assert waiting(connection) is Wait.HEAD
    connection.receive(b"POST / HTTP/1.1\r\nHost: a\r\n")
    assert connection.next_exchange() is None
    assert (waiting(connection), connection.head_started) == (Wait.HEAD, True)
    connection.receive(b"Content-Length: 5\r\n\r\n")
    exchange = connection.next_exchange()
    assert exchange is not None
    assert (waiting(connection), connection.head_started) == (Wait.APPLICATION, False)
    assert exchange.read() is NEED_DATA
    assert waiting(connection) is Wait.BODY
    connection.receive(b"hello")
    exchange.read()
    assert waiting(connection) is Wait.APPLICATION
    answer(exchange)
    assert (waiting(connection), connection.head_started) == (Wait.NEXT_REQUEST, False)
    connection.receive(b"G")
    assert (waiting(connection), connection.head_started) == (Wait.HEAD, True)
    connection.receive(b"arbage\n")
    with pytest.raises(HttpError):
        connection.next_exchange()
    assert waiting(connection) is Wait.PEER


def test_a_transferred_connection_waits_for_its_next_request() -> None:
    connection = H1Connection(Limits(), Peer("", ""), DateField(), transferred=True)
    assert waiting(connection) is Wait.NEXT_REQUEST
    connection.receive(b"G")
    assert waiting(connection) is Wait.HEAD


def test_an_empty_line_is_no_started_head(connection: H1Connection) -> None:
    connection.receive(b"\r\n")
    assert connection.next_exchange() is None
    assert not connection.head_started


def test_backpressure_while_nobody_reads(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(post(UNREAD_BYTES * 2))
    assert connection.wants_data
    connection.receive(b"x" * UNREAD_BYTES)
    assert connection.wants_data
    connection.receive(b"x")
    assert not connection.wants_data
    exchange.read(1)
    assert connection.wants_data


def test_a_head_larger_than_the_backpressure_is_still_read(connection: H1Connection) -> None:
    connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"y" * 8000 + b"\r\n") * 20)
    assert connection.next_exchange() is None
    assert connection.wants_data
    connection.receive(b"\r\n")
    assert connection.next_exchange() is not None


def test_nothing_is_wanted_at_the_end_of_input_or_when_closed(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    exchange = exchange_of()
    connection.receive(b"")
    assert not connection.wants_data
    answer(exchange)
    assert connection.closed
    assert not connection.wants_data


# -- the end of input --------------------------------------------------------------------------------------------


def test_a_client_that_leaves_between_requests(connection: H1Connection) -> None:
    connection.receive(b"")
    assert connection.closed
    assert connection.next_exchange() is None


def test_requests_that_arrived_before_the_end_of_input_are_served(connection: H1Connection) -> None:
    connection.receive(GET + GET)
    connection.receive(b"")
    for _ in range(2):
        exchange = connection.next_exchange()
        assert exchange is not None
        answer(exchange)
    assert connection.closed
    assert sent(connection) == answered() * 2


def test_half_a_head_at_the_end_of_input_is_refused(connection: H1Connection) -> None:
    connection.receive(GET[:-1])
    assert connection.next_exchange() is None
    connection.receive(b"")
    assert not connection.closed
    with pytest.raises(HttpError):
        connection.next_exchange()
    assert connection.closed


def test_an_empty_line_at_the_end_of_input_is_no_error(connection: H1Connection) -> None:
    connection.receive(b"\r\n")
    connection.receive(b"")
    assert connection.next_exchange() is None
    assert connection.closed


# -- errors ------------------------------------------------------------------------------------------------------


def test_a_bad_head_is_raised_once_and_nothing_is_parsed_after_it(connection: H1Connection) -> None:
    connection.receive(b"GET / HTTP/1.1\r\n\r\n" + GET)
    with pytest.raises(HttpError) as caught:
        connection.next_exchange()
    assert connection.next_exchange() is None
    connection.receive(GET)
    assert connection.next_exchange() is None
    assert len(connection.received) == 0
    connection.refuse(caught.value)
    assert sent(connection).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert connection.closed


def test_a_refusal_holds_none_of_the_clients_bytes(connection: H1Connection) -> None:
    connection.receive(b"GET /evil HTTP/1.1\r\nHost: <script>\r\n\r\n")
    with pytest.raises(HttpError) as caught:
        connection.next_exchange()
    connection.refuse(caught.value)
    answer = sent(connection)
    assert b"script" not in answer
    assert b"evil" not in answer
    assert b"\r\nConnection: close\r\n" in answer


def test_a_refusal_comes_behind_earlier_responses(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(GET + b"bad\r\n\r\n"))
    with pytest.raises(HttpError) as caught:
        connection.next_exchange()
    connection.refuse(caught.value)
    assert sent(connection).startswith(answered() + b"HTTP/1.1 400 ")


def test_a_second_refusal_says_nothing(connection: H1Connection) -> None:
    connection.refuse(HttpError(408))
    connection.refuse(HttpError(408))
    assert sent(connection).count(b"HTTP/1.1 ") == 1


def test_a_refusal_takes_an_untaken_response_back(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [])
    exchange.write(b"half")
    connection.refuse(HttpError(500))
    assert sent(connection).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert (exchange.started, exchange.finished, exchange.body_sent) == (True, True, 26)
    assert connection.closed


def test_a_refusal_after_bytes_were_taken_only_closes(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [])
    exchange.write(b"half")
    sent(connection)
    connection.refuse(HttpError(500))
    assert sent(connection) == b""
    assert exchange.aborted
    assert connection.closed


def test_a_refusal_after_a_complete_response_only_closes(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(b"GET / HTTP/1.0\r\n\r\n"))
    assert connection.closed
    connection.refuse(HttpError(500))
    assert sent(connection).count(b"HTTP/1.1 ") == 1


def test_a_refusal_of_head_has_no_body(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.refuse(HttpError(503))
    assert sent(connection).endswith(b"Connection: close\r\n\r\n")
    assert exchange.body_sent == 0


# -- unread bodies -----------------------------------------------------------------------------------------------


def test_an_unread_body_that_is_there_is_skipped(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(post(len(GET)) + GET + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
    exchange = connection.next_exchange()
    assert exchange is not None
    assert exchange.head.path == "/next"
    assert sent(connection) == answered()


def test_a_small_unread_body_is_discarded_as_it_arrives(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(post(DISCARD_BYTES)))
    assert b"close" not in sent(connection)
    assert waiting(connection) is Wait.BODY
    for _ in range(DISCARD_BYTES // 1024):
        assert connection.next_exchange() is None
        assert connection.wants_data
        connection.receive(b"GET / HT" * 128)
        assert len(connection.received) == 0
    assert waiting(connection) is Wait.NEXT_REQUEST
    connection.receive(GET)
    assert connection.next_exchange() is not None


def test_what_comes_with_the_end_of_a_discarded_body_is_parsed(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    answer(exchange_of(post(10) + b"hello"))
    connection.receive(b"world" + GET)
    assert connection.next_exchange() is not None


def test_a_client_that_leaves_within_a_discarded_body(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(post(10)))
    connection.receive(b"")
    assert connection.closed


def test_a_large_unread_body_closes_and_says_so(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(post(DISCARD_BYTES + 1)))
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed
    connection.receive(GET)
    assert connection.next_exchange() is None


def test_an_unread_body_in_chunks_that_is_there_is_skipped(connection: H1Connection, exchange_of: Exchanging) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer(exchange_of(head + b"5\r\nhello\r\n0\r\n\r\n" + GET))
    assert connection.next_exchange() is not None


@pytest.mark.parametrize("body", [b"", b"5\r\nhello\r\n", b"size\r\n", b"0\r\n"])
def test_any_other_unread_body_in_chunks_closes(connection: H1Connection, exchange_of: Exchanging, body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer(exchange_of(head + body))
    assert connection.closed
    connection.receive(b"\r\n" + GET)
    assert connection.next_exchange() is None


def test_an_answer_before_100_continue_closes(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(post(5, more="Expect: 100-continue\r\n")))
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    connection.receive(GET)
    assert connection.next_exchange() is None


# -- persistence -------------------------------------------------------------------------------------------------


def test_http_1_0_closes_unless_it_asks_otherwise(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
    assert sent(connection) == answered(more=b"Connection: keep-alive\r\n")
    answer(exchange_of(b"GET / HTTP/1.0\r\n\r\n" + GET))
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.next_exchange() is None


def test_a_client_that_asks_for_close(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, close\r\n\r\n" + GET))
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed


def test_drain_before_the_head_is_queued(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(GET + b"\r\n")
    connection.drain()
    answer(exchange)
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed
    assert connection.next_exchange() is None


def test_drain_answers_what_is_pipelined(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of(GET + GET[:3])
    connection.drain()
    answer(exchange)
    assert sent(connection) == answered()
    answer(exchange_of(GET[3:]))
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed


def test_drain_ends_also_for_a_client_that_always_has_another_request(
    connection: H1Connection, exchange_of: Exchanging
) -> None:
    connection.drain()
    exchange = exchange_of(GET * (LAST_EXCHANGES + 1))
    for _ in range(LAST_EXCHANGES - 1):
        answer(exchange)
        assert sent(connection) == answered()
        following = connection.next_exchange()
        assert following is not None
        exchange = following
    answer(exchange)
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed


def test_drain_after_the_head_is_queued_answers_one_more(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange = exchange_of()
    exchange.start(200, "OK", [], 2)
    connection.drain()
    exchange.write(b"ok")
    exchange.end()
    assert sent(connection) == answered()
    assert not connection.closed
    answer(exchange_of())
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed


def test_drain_between_exchanges_answers_one_more(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of())
    sent(connection)
    connection.drain()
    assert not connection.closed
    answer(exchange_of())
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed


def test_drain_leaves_a_body_that_is_discarded_alone(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(post(10)))
    sent(connection)
    connection.drain()
    connection.receive(b"x" * 10)
    answer(exchange_of())
    assert sent(connection) == answered(more=b"Connection: close\r\n")
    assert connection.closed


# -- transfer ----------------------------------------------------------------------------------------------------


def test_unread_bytes_move_to_another_connection(connection: H1Connection, exchange_of: Exchanging) -> None:
    answer(exchange_of(GET + GET[:10]))
    other = H1Connection(Limits(), connection.peer, connection.date, transferred=True)
    other.receive(connection.unread())
    other.receive(GET[10:])
    assert other.next_exchange() is not None
    connection.receive(GET[10:])
    assert connection.next_exchange() is not None


def test_unread_within_an_exchange_is_a_mistake(connection: H1Connection, exchange_of: Exchanging) -> None:
    exchange_of()
    with pytest.raises(RuntimeError):
        connection.unread()


# -- limit_request_body --------------------------------------------------------------------------------------


def limited(body: int, data: bytes) -> H1Connection:
    connection = H1Connection(Limits(body=body), Peer("", ""), DateField())
    connection.receive(data)
    return connection


def test_an_announced_body_over_the_limit_is_refused_with_its_head() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n"
    connection = limited(5, head)
    with pytest.raises(HttpError) as caught:
        connection.next_exchange()
    assert caught.value.status == 413
    connection.refuse(caught.value)
    answer = sent(connection)
    assert answer.startswith(b"HTTP/1.1 413 Content Too Large\r\n")
    assert b"100 Continue" not in answer
    assert b"Connection: close\r\n" in answer
    connection.receive(b"secret" + GET)
    assert connection.next_exchange() is None


@pytest.mark.parametrize("limit", [0, 5, 6])
def test_a_body_within_the_limit_is_served(limit: int) -> None:
    exchange = limited(limit, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").next_exchange()
    assert exchange is not None
    assert exchange.read() == b"hello"


def test_a_body_in_chunks_over_the_limit_is_refused_while_it_is_read() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = limited(5, head + b"5\r\nhello\r\n")
    exchange = connection.next_exchange()
    assert exchange is not None
    assert exchange.read() == b"hello"
    connection.receive(b"1\r\n")
    for _ in range(2):
        with pytest.raises(HttpError) as caught:
            exchange.read()
        assert caught.value.status == 413
    exchange.refuse(caught.value)
    assert sent(connection).startswith(b"HTTP/1.1 413 Content Too Large\r\n")
    assert connection.closed


def test_a_body_is_waited_for_only_by_a_read_that_found_nothing(connection: H1Connection) -> None:
    connection.receive(post(5) + b"he")
    exchange = connection.next_exchange()
    assert exchange is not None
    assert not connection.head_started
    assert exchange.read() == b"he"
    assert waiting(connection) is Wait.APPLICATION
    assert exchange.read() is NEED_DATA
    assert waiting(connection) is Wait.BODY
    connection.receive(b"llo")
    assert exchange.read() == b"llo"
    assert waiting(connection) is Wait.APPLICATION


@pytest.mark.parametrize("cut", [None, 100])
@pytest.mark.parametrize("over", [0, 1])
def test_a_head_has_a_limit_where_its_parts_have_none(over: int, cut: int | None) -> None:
    limits = Limits(request_line=20, fields=0, field_size=0)
    start, end = b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n\r\n"
    data = start + b"y" * (limits.head_bytes - len(start + end) + over) + end
    connection = H1Connection(limits, Peer("", ""), DateField())
    if cut is not None:
        connection.receive(data[:cut])
        assert connection.next_exchange() is None
    connection.receive(data[cut:])
    if over:
        with pytest.raises(HttpError) as caught:
            connection.next_exchange()
        assert caught.value.status == 431
    else:
        assert connection.next_exchange() is not None
