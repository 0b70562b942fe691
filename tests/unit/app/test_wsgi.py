"""app/wsgi.py: real exchanges, real applications; only the socket is missing."""

import gzip
import io
import os
import sys
import tempfile
from pathlib import Path
from wsgiref.validate import validator

import pytest

from ostler.app.files import COPY_BYTES
from ostler.app.wsgi import ALREADY_HANDLED, FileWrapper
from tests.unit.app.serving import GET, TEXT, Serving

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
HTTP_10 = b"GET / HTTP/1.0\r\n\r\n"


class Blocks:
    """An iterable that remembers what was asked of it."""

    def __init__(self, blocks, fault=None, close_fault=None):
        self.blocks = list(blocks)
        self.fault = fault
        self.close_fault = close_fault
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.blocks:
            return self.blocks.pop(0)
        if self.fault is not None:
            raise self.fault
        raise StopIteration

    def close(self):
        self.closed += 1
        if self.close_fault is not None:
            raise self.close_fault


def app_of(blocks, status="200 OK", fields=(TEXT,)):
    def app(environ, start_response):
        start_response(status, list(fields))
        return blocks

    return app


# -- bodies and their framing --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("blocks", [[], [b""], [b"hello"], [b"he", b"", b"llo"]])
def test_a_list_is_sent_at_once_with_its_length(kind, blocks):
    served = Serving(app_of(kind(blocks)))
    body = b"".join(blocks)
    assert served.deliveries == []
    assert served.fields["Content-Length"] == str(len(body))
    assert served.last.endswith(b"\r\n\r\n" + body)
    assert served.connection.closed is False
    assert served.errors == []


def test_a_list_with_the_right_content_length_is_sent_with_it_once():
    served = Serving(app_of([b"hello"], fields=[TEXT, ("Content-Length", "5")]))
    assert served.sent.lower().count(b"content-length") == 1
    assert served.body == b"hello"


def test_each_block_is_delivered_before_the_next_is_asked_for():
    seen = []

    def app(environ, start_response):
        start_response("200 OK", [TEXT])
        seen.append(list(served_client(environ).deliveries))
        yield b"one"
        seen.append(list(served_client(environ).deliveries))
        yield b""
        yield b"two"
        seen.append(list(served_client(environ).deliveries))

    served = Serving(validator(app))
    assert seen[0] == []
    assert len(seen[1]) == 1
    assert seen[1][0].endswith(b"3\r\none\r\n")
    assert seen[2][1:] == [b"3\r\ntwo\r\n"]
    assert served.last == b"0\r\n\r\n"


def served_client(environ):
    """The sink of the request that is being served."""
    return environ["ostler.client_disconnected"].__self__


def test_a_generator_without_blocks_is_an_empty_body_with_its_length():
    served = Serving(validator(app_of(Blocks([]))))
    assert served.fields["Content-Length"] == "0"
    assert served.body == b""


def test_the_application_may_call_start_response_when_its_first_block_is_asked_for():
    def app(environ, start_response):
        start_response("201 Created", [TEXT])
        yield b"x"

    assert Serving(validator(app)).status == 201


def test_a_generator_with_a_content_length_is_not_chunked():
    served = Serving(validator(app_of(Blocks([b"ab", b"cd"]), fields=[TEXT, ("Content-Length", "4")])))
    assert "Transfer-Encoding" not in served.fields
    assert served.body == b"abcd"
    assert not served.connection.closed


def test_http_1_0_gets_a_body_that_ends_with_the_connection():
    served = Serving(validator(app_of(Blocks([b"ab", b"cd"]))), HTTP_10)
    assert "Transfer-Encoding" not in served.fields
    assert served.body == b"abcd"
    assert served.connection.closed


@pytest.mark.parametrize("wrap", [validator, lambda app: app])
def test_head_gets_the_fields_and_no_body(wrap):
    served = Serving(wrap(app_of([b"hello"], fields=[TEXT, ("Content-Length", "5")])), HEAD)
    assert served.fields["Content-Length"] == "5"
    assert served.body == b""
    assert not served.connection.closed


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("blocks", [[], [b"not allowed"]])
def test_statuses_without_a_body_have_none(status, blocks):
    served = Serving(validator(app_of(blocks, status, [])))
    assert served.body == b""
    assert "Transfer-Encoding" not in served.fields
    assert not served.connection.closed


def test_a_status_without_reason_is_sent():
    assert Serving(app_of([b""], "299")).sent.startswith(b"HTTP/1.1 299 \r\n")


# -- Content-Length that is not true -------------------------------------------------------------------------


def test_a_list_shorter_than_its_content_length_is_a_500():
    served = Serving(app_of([b"abc"], fields=[TEXT, ("Content-Length", "4")]))
    assert served.status == 500
    assert "Content-Length" in served.errors[0]


def test_a_generator_that_falls_short_never_looks_complete():
    served = Serving(app_of(Blocks([b"abc"]), fields=[TEXT, ("Content-Length", "4")]))
    assert served.body == b"abc"
    assert served.connection.closed
    assert served.exchange.aborted
    assert len(served.errors) == 1


def test_a_generator_that_runs_over_sends_what_it_announced_and_closes():
    blocks = Blocks([b"abc", b"de", b"never asked for"])
    served = Serving(app_of(blocks, fields=[TEXT, ("Content-Length", "4")]))
    assert served.body == b"abcd"
    assert served.connection.closed
    assert blocks.blocks == [b"never asked for"]
    assert blocks.closed == 1


def test_a_first_block_that_runs_over_is_a_500():
    served = Serving(app_of(Blocks([b"abcde"]), fields=[TEXT, ("Content-Length", "4")]))
    assert served.status == 500


# -- start_response and write() ------------------------------------------------------------------------------


def test_write_is_delivered_before_it_returns():
    def app(environ, start_response):
        write = start_response("200 OK", [TEXT])
        write(b"one")
        assert served_client(environ).deliveries[0].endswith(b"3\r\none\r\n")
        write(b"two")
        return [b"three"]

    served = Serving(validator(app))
    assert served.body == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"


def test_write_then_a_list():
    def app(environ, start_response):
        start_response("200 OK", [TEXT, ("Content-Length", "6")])(b"abc")
        return [b"def"]

    assert Serving(app).body == b"abcdef"


def test_write_of_text_is_a_500():
    def app(environ, start_response):
        start_response("200 OK", [TEXT])("text")
        return []

    assert Serving(app).status == 500


def test_exc_info_replaces_a_head_that_was_not_sent():
    def app(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Old", "1")])
        try:
            raise KeyError("x")
        except KeyError:
            start_response("503 Service Unavailable", [TEXT], sys.exc_info())
        return [b"sorry"]

    served = Serving(validator(app))
    assert served.status == 503
    assert "X-Old" not in served.fields
    assert served.errors == []


def test_exc_info_raises_its_exception_when_the_head_is_sent():
    def app(environ, start_response):
        start_response("200 OK", [TEXT])
        yield b"begun"
        try:
            raise KeyError("the cause")
        except KeyError:
            start_response("500 Oh", [TEXT], sys.exc_info())
        yield b"never"

    served = Serving(validator(app))
    assert served.status == 200
    assert served.connection.closed
    assert not served.sent.endswith(b"0\r\n\r\n")
    assert "the cause" in served.errors[0]


def test_start_response_twice_without_exc_info_is_a_500():
    def app(environ, start_response):
        start_response("200 OK", [TEXT])
        start_response("200 OK", [TEXT])
        return []

    assert Serving(app).status == 500


def test_a_body_without_start_response_is_a_500():
    assert Serving(lambda environ, start_response: [b"x"]).status == 500


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("200 OK\r\nSet-Cookie: a=b", [TEXT]),
        ("OK", [TEXT]),
        ("20", [TEXT]),
        ("2000", [TEXT]),
        ("99 No", [TEXT]),
        (b"200 OK", [TEXT]),
        (200, [TEXT]),
        ("200 OK", [("X", "a\r\nSet-Cookie: a=b")]),
        ("200 OK", [("X", "a\nb")]),
        ("200 OK", [("X", "a\0b")]),
        ("200 OK", [("X:", "a")]),
        ("200 OK", [("X", b"a")]),
        ("200 OK", [("X", 1)]),
        ("200 OK", [("X", "\u20ac")]),
        ("200 OK", [("Content-Length", "-1")]),
        ("200 OK", [("Content-Length", "5"), ("Content-Length", "5")]),
        ("200 OK", [("too", "many", "parts")]),
    ],
)
def test_a_head_that_cannot_be_sent_is_a_500_and_nothing_of_it_is_sent(status, fields):
    served = Serving(app_of([b"hello"], status, fields))
    assert served.status == 500
    assert b"Set-Cookie" not in served.sent
    assert b"hello" not in served.sent
    assert len(served.errors) == 1


# -- exceptions, and close() ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [ValueError("no"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_an_exception_of_the_call_is_a_500(fault):
    def app(environ, start_response):
        start_response("200 OK", [TEXT])
        raise fault

    served = Serving(validator(app))
    assert served.status == 500
    assert served.connection.closed
    assert type(fault).__name__ in served.errors[0]
    assert served.response.status == "500 Internal Server Error"
    assert b"no" not in served.body.replace(b"Internal", b"")


@pytest.mark.parametrize("fault", [ValueError("no"), SystemExit(1)])
def test_an_exception_before_the_first_block_is_a_500(fault):
    blocks = Blocks([], fault)
    served = Serving(validator(app_of(blocks)))
    assert served.status == 500
    assert blocks.closed == 1


def test_an_exception_between_blocks_breaks_the_response_off():
    blocks = Blocks([b"one"], ValueError("no"))
    served = Serving(validator(app_of(blocks)))
    assert served.status == 200
    assert served.body == b"3\r\none\r\n"
    assert served.connection.closed
    assert blocks.closed == 1
    assert len(served.errors) == 1


@pytest.mark.parametrize("blocks", [["text"], "text", [b"one", "text"], [1], b"bytes", 7, None])
def test_blocks_that_are_not_bytes_are_a_500(blocks):
    served = Serving(app_of(blocks))
    assert served.status == 500
    assert len(served.errors) == 1


def test_text_in_a_generator_is_a_500_and_closes_it():
    blocks = Blocks(["text"])
    assert Serving(app_of(blocks)).status == 500
    assert blocks.closed == 1


def test_close_is_called_once_after_the_last_block():
    blocks = Blocks([b"one"])
    served = Serving(validator(app_of(blocks)))
    assert blocks.closed == 1
    assert served.sent.endswith(b"0\r\n\r\n")


def test_close_is_called_once_when_the_client_is_gone():
    blocks = Blocks([b"one", b"two"])
    served = Serving(validator(app_of(blocks)), gone=True)
    assert blocks.closed == 1
    assert blocks.blocks == [b"two"]
    assert served.connection.closed
    assert served.errors == []


def test_close_is_called_once_when_start_response_was_not():
    blocks = Blocks([b"one"])
    assert Serving(lambda environ, start_response: blocks).status == 500
    assert blocks.closed == 1


def test_an_exception_of_close_does_not_spoil_a_complete_response():
    blocks = Blocks([b"one"], close_fault=ValueError("in close"))
    served = Serving(validator(app_of(blocks)))
    assert blocks.closed == 1
    assert served.sent.endswith(b"0\r\n\r\n")
    assert not served.connection.closed
    assert served.errors[0].startswith("error after the response was complete")


def test_stop_iteration_of_the_call_closes_quietly():
    def app(environ, start_response):
        raise StopIteration

    served = Serving(app)
    assert served.sent == b""
    assert served.connection.closed
    assert served.errors == []


# -- the request's body --------------------------------------------------------------------------------------

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def test_a_body_is_read_while_it_arrives():
    assert Serving(echo, POST, [b"01234", b"56789"]).body == b"0123456789"


def test_a_body_that_breaks_off_is_the_clients_fault():
    served = Serving(echo, POST, [b"01234", b""])
    assert served.status == 400
    assert served.errors == []
    assert served.connection.closed


def test_a_client_that_sends_no_more_of_its_body_is_gone():
    served = Serving(echo, POST, [b"01234"])
    assert served.sent == b""
    assert served.connection.closed
    assert served.errors == []


def test_an_application_may_answer_without_reading_the_body():
    served = Serving(app_of([b"no"]), POST + b"01234")
    assert served.body == b"no"
    assert not served.connection.closed
    served.connection.receive(b"56789" + GET)
    assert served.connection.next_exchange().head.path == "/path"


# -- early hints ---------------------------------------------------------------------------------------------


def hinting(environ, start_response):
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload"), (b"Link", b"</b.js>")])
    start_response("200 OK", [TEXT, ("Content-Length", "1")])
    yield b"x"
    environ["wsgi.early_hints"]([("Link", "</late>")])


def test_early_hints_are_delivered_before_the_response():
    served = Serving(validator(hinting))
    assert served.deliveries[0] == (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\n\r\n")
    assert served.deliveries[1].startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"late" not in served.sent


def test_early_hints_are_not_for_http_1_0():
    assert Serving(validator(hinting), HTTP_10).sent.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_bad_early_hint_is_a_500():
    def app(environ, start_response):
        environ["wsgi.early_hints"]([("Link", "a\r\nb")])
        return []

    assert Serving(app).status == 500


def test_an_error_after_early_hints_is_still_a_500():
    def app(environ, start_response):
        environ["wsgi.early_hints"]([("Link", "</a.css>")])
        raise ValueError("no")

    served = Serving(app)
    assert served.last.startswith(b"HTTP/1.1 500 ")


# -- wsgi.file_wrapper ---------------------------------------------------------------------------------------


def wrapping(file, fields=(TEXT,), block_size=4):
    def app(environ, start_response):
        start_response("200 OK", list(fields))
        return environ["wsgi.file_wrapper"](file, block_size)

    return app


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_is_sent_as_a_file_from_where_it_stands(path, buffering):
    file = path.open("rb", buffering)
    file.seek(3)
    served = Serving(wrapping(file))
    assert served.client.files == 1
    assert served.fields["Content-Length"] == "7"
    assert served.body == b"3456789"
    assert file.closed


def test_a_file_is_sent_up_to_the_announced_length(path):
    served = Serving(wrapping(path.open("rb"), [TEXT, ("Content-Length", "4")]))
    assert served.client.files == 1
    assert served.body == b"0123"
    assert not served.connection.closed


def test_without_sendfile_a_file_is_read_and_announced_all_the_same(path):
    file = path.open("rb")
    file.seek(3)
    served = Serving(wrapping(file), sendfile=False)
    assert served.client.files == 0
    assert served.fields["Content-Length"] == "7"
    assert served.body == b"3456789"
    assert file.closed
    assert not served.connection.closed


def test_without_sendfile_a_large_file_is_delivered_block_by_block(path):
    data = os.urandom(2 * COPY_BYTES + 3)
    path.write_bytes(data)
    served = Serving(wrapping(path.open("rb")), sendfile=False)
    assert served.body == data
    assert [len(block) for block in served.deliveries[1:]] == [COPY_BYTES, 3]


def test_without_sendfile_a_file_is_sent_up_to_the_announced_length(path):
    served = Serving(wrapping(path.open("rb"), [TEXT, ("Content-Length", "4")]), sendfile=False)
    assert served.body == b"0123"
    assert not served.connection.closed


def test_without_sendfile_a_file_for_head_is_not_read(path):
    file = path.open("rb")
    served = Serving(wrapping(file), HEAD, sendfile=False)
    assert served.fields["Content-Length"] == "10"
    assert served.body == b""


def test_without_sendfile_a_client_that_left_ends_the_reading(path):
    path.write_bytes(bytes(10 * COPY_BYTES))
    file = path.open("rb")
    served = Serving(wrapping(file), gone=True, sendfile=False)
    assert file.closed
    assert served.errors == []


def test_a_file_shorter_than_its_announced_length_is_a_500(path):
    served = Serving(wrapping(path.open("rb"), [TEXT, ("Content-Length", "11")]))
    assert served.status == 500


def test_a_file_wrapper_inside_another_iterable_is_read(path):
    served = Serving(validator(wrapping(path.open("rb"))))
    assert served.client.files == 0
    assert served.body == b"4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n"


def test_a_temporary_file_is_sent_with_what_is_not_flushed_yet():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"0123456789")
        file.seek(2)
        file.write(b"xx")
        file.seek(0)
        file.write(b"ab")  # in Python's buffer only
        served = Serving(wrapping(file))
        assert served.client.files == 1
        assert served.body == b"xx456789"
        assert file.closed


@pytest.mark.parametrize("request_bytes", [HEAD, GET])
def test_an_empty_file_is_an_empty_body(path, request_bytes):
    path.write_bytes(b"")
    served = Serving(wrapping(path.open("rb")), request_bytes)
    assert served.body == b""
    assert served.errors == []


def test_a_file_for_head_is_not_read(path):
    file = path.open("rb")
    served = Serving(wrapping(file), HEAD)
    assert served.fields["Content-Length"] == "10"
    assert served.body == b""
    assert not served.connection.closed


def test_a_file_that_says_it_is_empty_is_read_nevertheless():
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc on this system")
    file = io.BufferedReader(io.FileIO("/proc/self/status"))
    served = Serving(wrapping(file, block_size=65536))
    assert b"Pid:" in served.body


def test_bytes_in_memory_are_read_in_blocks():
    file = io.BytesIO(b"0123456")
    served = Serving(wrapping(file))
    assert served.body == b"4\r\n0123\r\n3\r\n456\r\n0\r\n\r\n"
    assert file.closed


def test_a_gzip_file_is_read_and_not_sent_as_it_is(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"plain text"))
    served = Serving(wrapping(gzip.GzipFile(path), block_size=100))
    assert served.client.files == 0
    assert served.body == b"a\r\nplain text\r\n0\r\n\r\n"


def test_a_reader_with_a_read_of_its_own_is_read(path):
    class Reversed(io.BufferedReader):
        def read(self, size=-1):
            return super().read(size)[::-1]

    served = Serving(wrapping(Reversed(io.FileIO(path)), block_size=100))
    assert served.body == b"a\r\n9876543210\r\n0\r\n\r\n"


def test_a_pipe_is_read():
    read_end, write_end = os.pipe()
    os.write(write_end, b"piped")
    os.close(write_end)
    served = Serving(wrapping(os.fdopen(read_end, "rb")))
    assert served.client.files == 0
    assert served.body == b"4\r\npipe\r\n1\r\nd\r\n0\r\n\r\n"


def test_files_leave_no_descriptor_behind(path):
    before = len(os.listdir("/dev/fd"))
    Serving(wrapping(path.open("rb")))
    Serving(wrapping(path.open("rb")), HEAD)
    Serving(wrapping(path.open("rb"), [TEXT, ("Content-Length", "11")]))
    Serving(wrapping(path.open("rb"), [TEXT, ("Bad", "a\nb")]))
    assert len(os.listdir("/dev/fd")) == before


def test_a_file_wrapper_closes_what_can_be_closed():
    class Reader:
        def read(self, size):
            return b""

    assert list(FileWrapper(Reader())) == []
    FileWrapper(Reader()).close()


def test_the_application_can_ask_whether_the_client_left():
    def app(environ, start_response):
        start_response("200 OK", [TEXT])
        before = environ["ostler.client_disconnected"]()
        served_client(environ).left = True
        return [f"{before} {environ['ostler.client_disconnected']()}".encode()]

    assert Serving(validator(app)).body == b"a\r\nFalse True\r\n0\r\n\r\n"


# -- an application that has taken the socket ----------------------------------------------------------------


def taking(returned):
    """An application that has sent something by itself, and then returns, or raises."""

    def app(environ, start_response):
        environ["gunicorn.socket"].muted = True
        if isinstance(returned, BaseException):
            raise returned
        return returned

    return app


@pytest.mark.parametrize("returned", [[], [b"x"], ALREADY_HANDLED, None, StopIteration(), BrokenPipeError()])
def test_nothing_is_sent_for_an_application_that_has_taken_the_socket(returned):
    served = Serving(taking(returned), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
    assert (served.sent, served.errors) == (b"", [])
    assert served.exchange.aborted
    assert served.response.status == "101 Switching Protocols"


def test_its_iterable_is_run_and_closed():
    blocks = Blocks([b"a", b"b"])
    assert Serving(taking(blocks)).sent == b""
    assert (blocks.blocks, blocks.closed) == ([], 1)


def test_its_error_is_logged():
    served = Serving(taking(ValueError("mine")))
    assert (served.sent, len(served.errors), served.response.status) == (b"", 1, "")


def test_what_is_returned_after_it_was_taken_in_the_middle_is_not_sent():
    def app(environ, start_response):
        start_response("200 OK", [TEXT])
        yield b"one"
        environ["gunicorn.socket"].muted = True
        yield b"two"

    assert Serving(app).body == b"3\r\none\r\n"


def test_already_handled_ends_the_connection_without_an_answer():
    served = Serving(lambda environ, start_response: ALREADY_HANDLED)
    assert (served.sent, served.errors) == (b"", [])
    assert served.exchange.aborted
