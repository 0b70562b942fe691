"""process/server_names.py: which name gets which context. Handshakes are in test_certificates.py."""

import contextlib
import gc
import ssl
import sys

import pytest

from ostler.process.server_names import ServerSide, drop_undecodable_names, listen_for_names, pick


@pytest.fixture(scope="module")
def contexts():
    names = ("shop.example", "*.example", "*.deep.example", "localhost")
    return {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in names}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("shop.example", "shop.example"),
        ("SHOP.Example", "shop.example"),
        ("shop.example.", "shop.example"),
        ("other.example", "*.example"),
        ("a.deep.example", "*.deep.example"),
        ("localhost", "localhost"),
        ("example", None),
        (".example", None),
        ("a.b.example", None),
        ("*.example", "*.example"),
        ("elsewhere", None),
        ("", None),
    ],
)
def test_a_name_wins_over_a_star_and_a_star_is_one_label(contexts, asked, found):
    assert pick(contexts, asked) is (None if found is None else contexts[found])


def test_connections_remember_the_name_and_the_users_callback_comes_last(contexts):
    context, seen = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.sni_callback = lambda connection, name, initial: seen.append((connection.context, name, initial))
    other = contexts["localhost"]
    listen_for_names(context, {"a": other}.get)
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert isinstance(connection, ServerSide)
    assert connection.asked_for is None
    assert context.sni_callback(connection, "a", context) is None
    assert connection.asked_for == "a"
    assert context.sni_callback(connection, None, context) is None
    assert connection.asked_for is None
    assert seen == [(other, "a", context), (other, None, context)]


@pytest.mark.parametrize("name", ["a\nb", "a b", "", 'a"', "\x1b[31m"])
def test_what_can_be_no_host_name_is_no_name(contexts, name):
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    listen_for_names(context, asked.append)
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    context.sni_callback(connection, name, context)
    assert (connection.asked_for, asked) == (None, [None])


def hello_with(name):
    """The first message of a client that asks for `name`: four bytes."""
    to_server = ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), to_server, server_hostname="wxyz")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return to_server.read().replace(b"wxyz", name)


def test_a_name_that_is_not_ascii_fails_without_a_word_on_stderr(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    drop_undecodable_names()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listen_for_names(context, lambda _: None)
    from_client = ssl.MemoryBIO()
    from_client.write(hello_with(b"\xff\xfe\xfd\xfc"))
    with pytest.raises(ssl.SSLError, match="CALLBACK_FAILED"):
        context.wrap_bio(from_client, ssl.MemoryBIO(), server_side=True).do_handshake()
    assert told == []


def test_other_exceptions_that_nobody_can_catch_are_told(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    drop_undecodable_names()

    class Broken:
        def __del__(self):
            raise UnicodeDecodeError("ascii", b"\xff", 0, 1, "mine")

    Broken()
    gc.collect()
    assert told == [UnicodeDecodeError]
