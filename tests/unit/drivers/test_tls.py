"""drivers/tls.py: what a client of ssl's says and hears, byte by byte, without waiting."""

import os
import ssl
import threading

import pytest

from ostler.drivers.tls import BLOCK_BYTES, RECORD_BYTES, HandshakeFailed, TlsStream
from ostler.process.server_names import listen_for_names
from tests.unit.drivers.tls_client import CERTIFICATES, TlsClient, client_context, server_context, shake_hands


@pytest.fixture
def connected(pair):
    """A stream and its client, after the handshake."""
    stream, client = TlsStream(pair[0], server_context()), TlsClient(pair[1])
    shake_hands(stream, pair[0], client)
    return stream, client


def only(version):
    return {"minimum_version": version, "maximum_version": version}


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def each_version(request, pair):
    stream = TlsStream(pair[0], server_context(**only(request.param)))
    client = TlsClient(pair[1])
    shake_hands(stream, pair[0], client)
    return stream, client


def test_both_sides_hear_what_the_other_said(each_version):
    stream, client = each_version
    client.send(b"a request")
    assert stream.recv(65536) == b"a request"
    assert stream.send(b"a response") == 10
    assert client.receive() == b"a response"


def test_nothing_to_read_is_a_blocking_io_error(connected):
    stream, _ = connected
    with pytest.raises(BlockingIOError):
        stream.recv(65536)


def test_a_handshake_arrives_byte_by_byte(pair):
    stream, client = TlsStream(pair[0], server_context()), TlsClient(pair[1])
    steps = [False]
    while not steps[-1]:
        client.shake()
        steps += [stream.handshake(bytes([byte])) for byte in pair[0].recv(65536)]
    assert steps.index(True) == len(steps) - 1


def test_records_arrive_byte_by_byte(connected, pair):
    stream, client = connected
    client.tls.write(b"first")
    client.tls.write(b"second")
    found = b""
    for byte in client.outgoing.read():
        client.sock.send(bytes([byte]))
        try:
            found += stream.recv(65536)
        except BlockingIOError:
            continue
    assert found == b"firstsecond"


def test_a_recv_returns_all_that_its_bytes_held(connected):
    stream, client = connected
    data = os.urandom(3 * RECORD_BYTES + 100)
    sent = 0
    while sent < len(data):
        sent += client.tls.write(data[sent:])
    client.give()
    assert stream.recv(256 * 1024) == data
    with pytest.raises(BlockingIOError):
        stream.recv(256 * 1024)


def test_a_recv_reads_no_more_from_the_socket_than_it_was_told(connected, pair):
    stream, client = connected
    client.send(b"x" * 5000)
    before = len(pair[0].recv(65536, 2))  # MSG_PEEK
    with pytest.raises(BlockingIOError):
        stream.recv(1000)
    assert len(pair[0].recv(65536, 2)) == before - 1000


def test_what_came_along_with_the_handshake_is_read_without_the_socket(pair):
    stream, client = TlsStream(pair[0], server_context()), TlsClient(pair[1])
    client.shake()
    assert not stream.handshake(pair[0].recv(65536))
    client.take()
    client.tls.do_handshake()
    big = b"x" * 40000
    sent = 0
    while sent < len(big):
        sent += client.tls.write(big[sent:])
    client.give()
    assert stream.handshake(pair[0].recv(256 * 1024))
    client.leave()  # the socket would say so
    assert stream.recv(65536) == big
    assert stream.recv(65536) == b""


def test_no_error_waits_when_nothing_came_along(pair):
    stream, client = TlsStream(pair[0], server_context()), TlsClient(pair[1])
    shake_hands(stream, pair[0], client)
    client.send(b"later")
    assert stream.recv(65536) == b"later"


# -- the end of input


def test_close_notify_is_the_end_of_input(each_version):
    stream, client = each_version
    client.send(b"last words")
    client.say_goodbye()
    assert stream.recv(65536) == b"last words"
    assert stream.recv(65536) == b""
    assert stream.recv(65536) == b""


def test_after_the_clients_close_notify_it_still_hears_us(each_version):
    stream, client = each_version
    client.send(b"request")
    client.say_goodbye()
    assert stream.recv(65536) == b"request"
    assert stream.send(b"response") == 8
    client.take()
    assert b"response" in client.tls.read(100)


def test_a_ragged_end_is_an_end_of_input(connected):
    stream, client = connected
    client.leave()
    assert stream.recv(65536) == b""


def test_a_ragged_end_is_an_error_when_it_is_not_suppressed(pair):
    stream, client = TlsStream(pair[0], server_context(), suppress_ragged_eofs=False), TlsClient(pair[1])
    shake_hands(stream, pair[0], client)
    client.leave()
    with pytest.raises(ConnectionResetError, match="close_notify"):
        stream.recv(65536)


def test_an_orderly_end_is_none_of_these(pair):
    stream, client = TlsStream(pair[0], server_context(), suppress_ragged_eofs=False), TlsClient(pair[1])
    shake_hands(stream, pair[0], client)
    client.say_goodbye()
    client.leave()
    assert stream.recv(65536) == b""
    assert stream.recv(65536) == b""


def test_damaged_records_are_an_os_error_ever_after(each_version):
    stream, client = each_version
    client.send(b"good")
    client.tls.write(b"damaged")
    record = bytearray(client.outgoing.read())
    record[-1] ^= 1
    client.sock.send(record)
    assert stream.recv(65536) == b"good"
    for _ in range(2):
        with pytest.raises(OSError, match=r"TLS failed: [a-z]") as caught:
            stream.recv(65536)
        assert not isinstance(caught.value, ssl.SSLError)
    with pytest.raises(OSError, match="TLS failed"):
        stream.send(b"x")
    stream.close_notify()


def test_we_say_goodbye_without_waiting_for_the_clients(each_version):
    stream, client = each_version
    stream.send(b"last words")
    stream.close_notify()
    stream.close_notify()
    assert client.receive() == b"last words"
    assert client.ended


def test_goodbye_before_the_handshake_does_nothing(pair):
    stream = TlsStream(pair[0], server_context())
    stream.close_notify()
    pair[1].close()
    stream.close_notify()


# -- sending


def test_send_takes_no_more_than_a_block(connected):
    stream, client = connected
    data = os.urandom(3 * BLOCK_BYTES)
    assert stream.send(data) == BLOCK_BYTES
    assert client.receive() == data[:BLOCK_BYTES]


def test_sending_nothing_takes_nothing(connected):
    stream, _ = connected
    assert stream.send(b"") == 0


def test_what_the_socket_does_not_take_waits_and_is_flushed(connected):
    stream, client = connected
    data = os.urandom(64 * BLOCK_BYTES)
    taken = 0
    while stream.flush():
        taken += stream.send(memoryview(data)[taken:])
    assert stream.wants_write
    with pytest.raises(BlockingIOError):
        stream.send(b"x")
    while taken < len(data) or not stream.flush():
        client.receive()
        if stream.flush():
            taken += stream.send(memoryview(data)[taken:])
    assert not stream.wants_write
    assert client.receive() == data


def test_a_file_is_sent_in_pieces(connected, tmp_path):
    stream, client = connected
    content = os.urandom(2 * BLOCK_BYTES + 10)
    (tmp_path / "file").write_bytes(content)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert stream.send_file(fd, 5, 100) == 100
        assert stream.send_file(fd, 105, 3 * BLOCK_BYTES) == BLOCK_BYTES
        assert stream.send_file(fd, len(content) - 3, 100) == 3
        assert stream.send_file(fd, len(content), 100) == 0
    finally:
        os.close(fd)
    assert client.receive() == content[5 : 105 + BLOCK_BYTES] + content[-3:]


def test_a_broken_transport_is_an_os_error(connected):
    stream, client = connected
    client.sock.close()
    with pytest.raises(OSError, match="Broken pipe"):
        stream.send(b"x")


def test_a_large_download_does_not_make_the_stream_keep_memory(connected):
    stream, client = connected
    for _ in range(20):
        stream.send(bytes(BLOCK_BYTES))
        client.receive()
    assert stream._outgoing.pending == 0
    assert len(stream._unsent) == 0


def test_two_threads_may_read_and_write(connected):
    stream, client = connected
    heard = []

    def hear():
        while sum(map(len, heard)) < 300_000:
            try:
                heard.append(stream.recv(65536))
            except BlockingIOError:
                continue

    thread = threading.Thread(target=hear)
    thread.start()
    for _ in range(300):
        client.sock.setblocking(True)
        client.send(bytes(1000))
        client.sock.setblocking(False)
        assert stream.send(bytes(1000)) == 1000
        client.receive()
    thread.join(20)
    assert not thread.is_alive()
    assert len(client.receive()) == 300_000


# -- handshakes that fail


def give(stream, pieces):
    for piece in pieces:
        stream.handshake(piece)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\r\nGET /", b"P", b"purge / HTTP/1.1\r\n"])
def test_plain_http_is_recognized(pair, data):
    stream = TlsStream(pair[0], server_context())
    with pytest.raises(HandshakeFailed) as caught:
        stream.handshake(data)
    assert (caught.value.reason, caught.value.plain_http) == ("plain HTTP on a TLS port", True)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16garbage from the client",
        b"\x16\x03\x01\x40\x00" + b"\xff" * 0x4000,
        b"\x00" * 100,
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x80\x2e\x01\x03\x01" + b"\x00" * 100,
        b"\xff" * 70000,
    ],
)
def test_garbage_fails_with_constant_words(pair, data):
    stream = TlsStream(pair[0], server_context())
    with pytest.raises(HandshakeFailed) as caught:
        give(stream, [data[start : start + 50] for start in range(0, len(data), 50)])
    assert not caught.value.plain_http
    assert "garbage" not in caught.value.reason
    assert "_" not in caught.value.reason


def test_a_client_that_leaves_fails_the_handshake(pair):
    stream = TlsStream(pair[0], server_context())
    with pytest.raises(HandshakeFailed, match="left before the handshake was complete"):
        stream.handshake(b"")


def test_a_hello_without_an_end_is_bounded(pair):
    stream = TlsStream(pair[0], server_context())
    hello = b"\x01\x01\xff\x00" + b"\x00" * 16380  # announces 130,816 bytes
    record = b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello
    with pytest.raises(HandshakeFailed):
        give(stream, [record] * 100)
    assert stream._received < 300_000


def test_empty_records_without_an_end_are_bounded(pair):
    stream = TlsStream(pair[0], server_context())
    with pytest.raises(HandshakeFailed):
        give(stream, [b"\x16\x03\x01\x00\x00" * 1000] * 100)


def test_no_version_in_common_has_words(pair):
    stream = TlsStream(pair[0], server_context(minimum_version=ssl.TLSVersion.TLSv1_3))
    client = TlsClient(pair[1], client_context(maximum_version=ssl.TLSVersion.TLSv1_2))
    client.shake()
    with pytest.raises(HandshakeFailed, match="no version of TLS in common"):
        stream.handshake(pair[0].recv(65536))
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        client.shake()


def test_a_client_that_does_not_know_our_authority_has_words(pair):
    stream = TlsStream(pair[0], server_context())
    client = TlsClient(pair[1], ssl.create_default_context())
    client.shake()
    stream.handshake(pair[0].recv(65536))
    with pytest.raises(ssl.SSLCertVerificationError):
        client.shake()
    with pytest.raises(HandshakeFailed, match="does not know the authority"):
        stream.handshake(pair[0].recv(65536))


# -- what was agreed on


def asking_context(verify_mode, **changes):
    context = server_context(**changes)
    context.load_verify_locations(CERTIFICATES / "ca.pem")
    context.verify_mode = verify_mode
    return context


def test_what_was_agreed_on_is_told(pair):
    context = server_context()
    listen_for_names(context, lambda _: None)
    stream, client = TlsStream(pair[0], context), TlsClient(pair[1])
    shake_hands(stream, pair[0], client)
    secured = stream.secured()
    assert (secured.version, secured.server_name, secured.resumed) == ("TLSv1.3", "localhost", False)
    assert (secured.cipher, secured.bits) == (client.tls.cipher()[0], client.tls.cipher()[2])
    assert (secured.certificate, secured.der) == (None, None)


def test_a_clients_certificate_is_told(pair):
    stream = TlsStream(pair[0], asking_context(ssl.CERT_REQUIRED))
    client = TlsClient(pair[1], client_context("client"))
    shake_hands(stream, pair[0], client)
    secured = stream.secured()
    assert secured.certificate is not None
    assert (("commonName", "a client"),) in secured.certificate["subject"]
    assert secured.der is not None
    assert "BEGIN CERTIFICATE" in ssl.DER_cert_to_PEM_cert(secured.der)


def test_an_optional_certificate_may_be_missing(pair):
    stream, client = TlsStream(pair[0], asking_context(ssl.CERT_OPTIONAL)), TlsClient(pair[1])
    shake_hands(stream, pair[0], client)
    assert (stream.secured().certificate, stream.secured().der) == (None, None)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [(None, "the client sent no certificate, and cert_reqs asks for one"), ("expired", "certificate has expired")],
)
def test_a_missing_or_bad_certificate_has_words(pair, certificate, reason):
    stream = TlsStream(pair[0], asking_context(ssl.CERT_REQUIRED))
    client = TlsClient(pair[1], client_context(certificate))
    with pytest.raises(HandshakeFailed, match=reason):
        shake_hands(stream, pair[0], client)


def test_a_session_is_resumed(pair, each_version):
    former, client = each_version
    former.send(b"x")  # TLS 1.3 brings its tickets with the first data
    client.receive()
    context = former._tls.context
    stream = TlsStream(pair[0], context)
    again = TlsClient(pair[1], client.tls.context, session=client.tls.session)
    shake_hands(stream, pair[0], again)
    assert stream.secured().resumed
    assert again.tls.session_reused
