"""A TLS client in memory, over a socket that a test holds: nothing waits."""

import contextlib
import ssl
from pathlib import Path

CERTIFICATES = Path(__file__).parents[2] / "certificates"


def server_context(name="localhost", **changes):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    context.options |= ssl.OP_NO_RENEGOTIATION
    for attribute, value in changes.items():
        setattr(context, attribute, value)
    return context


def client_context(certificate=None, **changes):
    context = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
    if certificate:
        context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
    for attribute, value in changes.items():
        setattr(context, attribute, value)
    return context


class TlsClient:
    """The client's side of one connection."""

    def __init__(self, sock, context=None, name="localhost", session=None):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or client_context()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)
        self.received = bytearray()
        self.ended = False  # by close_notify

    def take(self):
        """What the socket has, into OpenSSL."""
        with contextlib.suppress(BlockingIOError):
            while data := self.sock.recv(65536):
                self.incoming.write(data)

    def give(self):
        """What OpenSSL has to send, into the socket."""
        data = self.outgoing.read()
        while data:
            data = data[self.sock.send(data) :]

    def shake(self):
        """One step of the handshake; whether it is complete."""
        self.take()
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.give()
        return True

    def send(self, data):
        self.tls.write(data)
        self.give()

    def receive(self):
        """All plaintext so far."""
        self.take()
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self.tls.read(65536):
                self.received += data
            self.ended = True
        return bytes(self.received)

    def leave(self):
        """Close the socket in order: a local one with unread bytes would be reset."""
        self.take()
        self.sock.close()

    def say_goodbye(self):
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self.give()


def shake_hands(stream, sock, client):
    """Until both sides are done; `sock` is the stream's."""
    theirs = ours = False
    for _ in range(20):
        theirs = theirs or client.shake()
        if not ours:
            with contextlib.suppress(BlockingIOError):
                ours = stream.handshake(sock.recv(65536))
        if theirs and ours:
            return
    raise AssertionError("no handshake within 20 steps")
