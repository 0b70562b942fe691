"""The opening handshake: RFC 6455 sections 4.2 and 9.1, RFC 7692 section 5.1."""

import contextlib

import pytest

from ostler.http.errors import HttpError
from ostler.http.head import RequestHead
from ostler.http.limits import Limits
from ostler.http.parse import parse_head
from ostler.http.websocket_handshake import Handshake, HandshakeError, accept_key, asks_for_websocket, read_handshake

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def head_of(*fields: str, line: str = "GET /chat HTTP/1.1", without: str = "") -> RequestHead:
    """The RFC's request, with more fields and `without` one."""
    usual = [
        "Host: server.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    kept = [each for each in usual if not (without and each.lower().startswith(without.lower() + ":"))]
    return parse_head("\r\n".join([line, *kept, *fields]).encode("latin-1"), Limits())


def read(*fields: str, without: str = "", deflate: bool = True) -> Handshake:
    return read_handshake(head_of(*fields, without=without), deflate)


def test_the_example_of_the_rfc() -> None:
    assert accept_key(KEY) == ACCEPT
    handshake = read("Origin: http://example.com", "Sec-WebSocket-Protocol: chat, superchat")
    assert handshake == Handshake(ACCEPT, ("chat", "superchat"), None)
    assert handshake.response_fields("chat") == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
        ("Sec-WebSocket-Protocol", "chat"),
    ]


@pytest.mark.parametrize(
    ("fields", "line", "asks"),
    [
        (("Upgrade: websocket", "Connection: Upgrade"), "GET / HTTP/1.1", True),
        (("Upgrade: WebSocket", "Connection: keep-alive, upgrade"), "GET / HTTP/1.1", True),
        (("Upgrade: h2c, websocket", "Connection: Upgrade"), "GET / HTTP/1.1", True),
        (("Upgrade: websocket2", "Connection: Upgrade"), "GET / HTTP/1.1", False),
        (("Upgrade: h2c", "Connection: Upgrade"), "GET / HTTP/1.1", False),
        (("Upgrade: websocket",), "GET / HTTP/1.1", False),
        (("Upgrade: websocket", "Connection: close"), "GET / HTTP/1.1", False),
        (("Connection: Upgrade",), "GET / HTTP/1.1", False),
        (("Upgrade: websocket", "Connection: Upgrade"), "POST / HTTP/1.1", False),
        (("Upgrade: websocket", "Connection: Upgrade"), "HEAD / HTTP/1.1", False),
        (("Upgrade: websocket", "Connection: Upgrade"), "GET / HTTP/1.0", False),
    ],
)
def test_who_asks_for_a_websocket(fields: tuple[str, ...], line: str, asks: bool) -> None:
    head = parse_head("\r\n".join([line, "Host: a", *fields]).encode("ascii"), Limits())
    assert asks_for_websocket(head) is asks


@pytest.mark.parametrize("version", ["8", "0", "14", "013", "13, 8", "", "x"])
def test_another_version_is_told_which_one_is_spoken(version: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        read(f"Sec-WebSocket-Version: {version}", without="Sec-WebSocket-Version")
    assert caught.value.status == 426
    assert ("Sec-WebSocket-Version", "13") in caught.value.fields
    assert ("Upgrade", "websocket") in caught.value.fields


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ=",  # no whole group
        "dGhlIHNhbXBsZSBub25jZQ",  # without padding
        "dGhlIHNhbXBsZSBub25jZUE=",  # 17 bytes
        "dGhlIHNhbXBsZSBub25j",  # 15 bytes
        "dGhlIHNhbXBsZSBub25j*Q==",  # not in the alphabet
        "dGhlIHNhbXBsZSBub25jZQ==, x",
        "d" * 200,
        "dGhlIHNhbXBsZSBub25jZ\xe9==",
    ],
)
def test_a_key_that_is_not_sixteen_bytes_is_refused(key: str) -> None:
    with pytest.raises(HandshakeError, match="Sec-WebSocket-Key") as caught:
        read(f"Sec-WebSocket-Key: {key}", without="Sec-WebSocket-Key")
    assert caught.value.status == 400


@pytest.mark.parametrize("missing", ["Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_a_field_that_is_missing_is_named(missing: str) -> None:
    with pytest.raises(HandshakeError, match=missing) as caught:
        read(without=missing)
    assert caught.value.status == 400


@pytest.mark.parametrize("field", [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"])
def test_a_field_that_may_stand_once_is_refused_twice(field: str) -> None:
    with pytest.raises(HttpError) as caught:
        read(field)
    assert caught.value.status == 400


def test_a_handshake_with_a_body_is_refused() -> None:
    with pytest.raises(HandshakeError, match="body"):
        read("Content-Length: 5")
    with pytest.raises(HandshakeError, match="body"):
        read("Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ((), ()),
        (("Sec-WebSocket-Protocol: chat",), ("chat",)),
        (("Sec-WebSocket-Protocol: a,b ,\tc",), ("a", "b", "c")),
        (("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b, c"), ("a", "b", "c")),
        (("Sec-WebSocket-Protocol: ,a,,b,",), ("a", "b")),
        (("Sec-WebSocket-Protocol: graphql-transport-ws, v1.json+x",), ("graphql-transport-ws", "v1.json+x")),
    ],
)
def test_subprotocols_are_read_in_order(fields: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert read(*fields).subprotocols == names


@pytest.mark.parametrize("value", ["a b", "a, b c", "a;b", '"a"', "a, a", "a/b", "\xe9"])
def test_subprotocols_that_are_no_tokens_or_stand_twice_are_refused(value: str) -> None:
    with pytest.raises(HandshakeError):
        read(f"Sec-WebSocket-Protocol: {value}")


def test_a_subprotocol_that_was_not_offered_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected one that the client offers"):
        read("Sec-WebSocket-Protocol: chat").response_fields("other")
    with pytest.raises(ValueError, match="none"):
        read().response_fields("chat")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=12"),
        ("permessage-deflate;client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
        ('permessage-deflate; client_max_window_bits = "10"', "permessage-deflate; client_max_window_bits=10"),
        ('permessage-deflate; client_max_window_bits="1\\0"', "permessage-deflate; client_max_window_bits=10"),
        ("x-webkit-deflate-frame, permessage-deflate", "permessage-deflate"),
        ("permessage-bzip2; level=9 ,\t permessage-deflate ; server_no_context_takeover", None),
        (", permessage-deflate ,,", "permessage-deflate"),
        ("permessage-deflate; bad, permessage-deflate", "permessage-deflate"),
        (
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            "permessage-deflate; server_max_window_bits=10",
        ),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=8", ""),
        ("Permessage-Deflate", ""),
        ("permessage-deflate-x", ""),
        ("mux; max-channels=4; flow-control, deflate-stream", ""),
        ("", ""),
    ],
)
def test_the_first_offer_that_can_be_met_is_answered(value: str, answer: str | None) -> None:
    handshake = read(f"Sec-WebSocket-Extensions: {value}")
    found = "" if handshake.deflate is None else handshake.deflate.field
    assert found == (answer if answer is not None else "permessage-deflate; server_no_context_takeover")
    assert dict(handshake.response_fields(None)).get("Sec-WebSocket-Extensions", "") == found
    assert read(f"Sec-WebSocket-Extensions: {value}", deflate=False).deflate is None


def test_offers_may_stand_in_several_fields() -> None:
    handshake = read("Sec-WebSocket-Extensions: mux", "Sec-WebSocket-Extensions: permessage-deflate")
    assert handshake.deflate is not None


@pytest.mark.parametrize(
    "value",
    [
        "permessage-deflate; ",
        "permessage-deflate;; a",
        "permessage-deflate; a=",
        "permessage-deflate a",
        "permessage-deflate; a b",
        'permessage-deflate; a="b',
        'permessage-deflate; a="b c"',
        'permessage-deflate; a=""',
        "; a",
        "=",
        "permessage-deflate; =1",
        '"permessage-deflate"',
        "a b, permessage-deflate",
    ],
)
def test_extensions_that_break_the_grammar_are_refused(value: str) -> None:
    with pytest.raises(HandshakeError, match="Sec-WebSocket-Extensions") as caught:
        read(f"Sec-WebSocket-Extensions: {value}")
    assert caught.value.status == 400


@pytest.mark.parametrize("piece", [",", " ", ";", "a,", "a;", 'a="', '\\"', "a;b=c,", "a ; b "])
def test_long_values_are_read_in_linear_time(piece: str) -> None:
    limits = Limits(field_size=0)
    value = piece * 30_000  # takes hours where it is not
    lines = f"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}"
    for name in ("Extensions", "Protocol"):
        head = parse_head(f"{lines}\r\nSec-WebSocket-{name}: {value}".encode(), limits)
        with contextlib.suppress(HandshakeError):
            read_handshake(head, deflate=True)
