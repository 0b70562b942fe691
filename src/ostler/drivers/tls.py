"""TLS over one client's socket: a `Stream` that encrypts, and the handshake before it.

OpenSSL works between two pieces of memory (ssl.MemoryBIO), so nothing of it ever waits for a socket, and the reactor
decides when bytes are read and written, as for any other client. Where a record ends, no event says: `recv` therefore
returns everything that its bytes held, and ciphertext that the socket did not take is `flush`'s to send.

Memory per client is bounded: one block of unsent records, what one `recv` was given, and OpenSSL's own record.

Rules for editing: every call holds the lock, for two threads may drive one client (one reads, one writes) and an SSL
object is not theirs to share. What a client sent never stands in an error: reasons are OpenSSL's constant words.
RFC 8446 (TLS 1.3), RFC 5246 (1.2).
"""

import contextlib
import errno
import os
import socket
import ssl
from typing import Any, Final

from ostler import real
from ostler.http.connection import Secured
from ostler.process.server_names import ServerSide

RECORD_BYTES: Final = 16 * 1024
"""The most plaintext that one record holds; what goes into OpenSSL's memory at a time, so that it stays small."""
BLOCK_BYTES: Final = 64 * 1024
"""The most plaintext that one `send` takes."""

_LIMIT_HANDSHAKE_BYTES: Final = 256 * 1024  # OpenSSL takes certificate chains of 100 KiB, and hellos of 128 KiB
_LIMIT_UNSENT_BYTES: Final = 2 * BLOCK_BYTES  # beyond a block there are only answers to what the client sends
_TOKEN_CHARACTERS: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\r\n"
)
"""What a request line, or an empty line before it, begins with. No record of TLS does: its first byte is 22, or 128."""

_SENTENCES: Final = {
    "HTTP_REQUEST": "plain HTTP on a TLS port",
    "HTTPS_PROXY_REQUEST": "plain HTTP on a TLS port",
    "CALLBACK_FAILED": "the client asked for a name that is not ASCII (or a callback of the hook ssl_context failed)",
    "NO_SHARED_CIPHER": "no cipher in common",
    "UNSUPPORTED_PROTOCOL": "no version of TLS in common",
    "WRONG_VERSION_NUMBER": "this is not TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client sent no certificate, and cert_reqs asks for one",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client does not accept the server's certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not know the authority of the server's certificate",
}
"""By `ssl.SSLError.reason`; others are shown as OpenSSL says them, in lower case."""


class HandshakeFailed(Exception):
    """No TLS with this client. The text is the reason, for the log.

    plain_http: it spoke HTTP, or something like it, and may be answered so.
    """

    def __init__(self, reason: str, *, plain_http: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.plain_http = plain_http


class TlsStream:
    """One client's connection, the server's side. See `ostler.drivers.stream.Stream` for what is not said here."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, suppress_ragged_eofs: bool = True) -> None:
        """sock: non-blocking; it stays the caller's."""
        self._socket = sock
        self._suppress_ragged_eofs = suppress_ragged_eofs
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._lock = real.make_lock()
        self._unsent = memoryview(b"")
        self._received = 0  # before the handshake was complete
        self._early = b""  # raw bytes that came along with the end of the handshake
        self._said_goodbye = False  # the client did, by close_notify
        self._broken: OSError | None = None

    # -- the handshake

    @property
    def wants_write(self) -> bool:
        """Ciphertext waits for the socket: call `flush` when it is writable."""
        return self.unsent > 0

    @property
    def unsent(self) -> int:
        """See `Stream`."""
        return len(self._unsent) + self._outgoing.pending

    def handshake(self, received: bytes) -> bool:
        """Go on with what the socket gave (b"": the end of its input); whether the handshake is complete.

        Sends what it can, alerts among it. Not to be called again when it is complete, or has failed.

        Raises:
            HandshakeFailed: nothing more will come of this client.
            OSError: the transport broke.
        """
        with self._lock:
            if not received:
                raise HandshakeFailed("the client left before the handshake was complete")
            if not self._received and received[0] in _TOKEN_CHARACTERS:
                raise HandshakeFailed(_SENTENCES["HTTP_REQUEST"], plain_http=True)
            self._received += len(received)
            try:
                complete = self._shake(memoryview(received))
            except HandshakeFailed:
                with contextlib.suppress(OSError):
                    self._push()  # the alert that tells the client
                raise
            self._push()
            return complete

    def _shake(self, received: memoryview) -> bool:
        while received:
            self._incoming.write(received[:RECORD_BYTES])
            received = received[RECORD_BYTES:]
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                reason = _reason(error)
                plain = reason == _SENTENCES["HTTP_REQUEST"]
                raise HandshakeFailed(reason, plain_http=plain) from None
            self._early = bytes(received)
            return True
        if self._received > _LIMIT_HANDSHAKE_BYTES:
            raise HandshakeFailed(f"more than {_LIMIT_HANDSHAKE_BYTES} bytes without an end of the handshake")
        return False

    def secured(self) -> Secured:
        """What the handshake agreed on."""
        with self._lock:
            name, version, bits = self._tls.cipher() or ("", "", 0)
            certificate = self._certificate()
            return Secured(
                version=self._tls.version() or version,
                cipher=name,
                bits=bits,
                server_name=self._tls.asked_for if isinstance(self._tls, ServerSide) else None,
                resumed=bool(self._tls.session_reused),
                certificate=certificate,
                der=self._tls.getpeercert(binary_form=True) if certificate else None,
            )

    def _certificate(self) -> dict[str, Any] | None:
        try:
            return self._tls.getpeercert() or None
        except (ssl.SSLError, ValueError):
            return None  # its authority signed names that cannot be decoded: better nobody than somebody

    # -- in

    def recv(self, size: int, /) -> bytes:
        """See `Stream`. Reads at most `size` bytes from the socket, once, and returns all that they held.

        What came along with the end of the handshake comes first, without a look at the socket. When bytes ended with
        the client's close_notify, the next call returns b"".

        Raises:
            ConnectionResetError: the input ended without a close_notify, and such ends are not suppressed.
            OSError: also when records are damaged, or the client lets ours pile up.
        """
        with self._lock:
            self._check()
            early, self._early = self._early, b""
            if early or self._incoming.pending or self._tls.pending():
                data = self._decrypt(early)
                if data:
                    return data
            if self._said_goodbye:
                return b""
            received = self._socket.recv(size)
            if not received:
                if self._suppress_ragged_eofs:
                    return b""
                raise ConnectionResetError(errno.ECONNRESET, "the client left without the end of TLS (close_notify)")
            data = self._decrypt(received)
            if data or self._said_goodbye:
                return data
            raise BlockingIOError(errno.EAGAIN, "no whole record has arrived")

    def _decrypt(self, received: bytes) -> bytes:
        pieces: list[bytes] = []
        left = memoryview(received)
        try:
            while not self._said_goodbye:
                if left:
                    self._incoming.write(left[:RECORD_BYTES])
                    left = left[RECORD_BYTES:]
                self._read_records(pieces)
                if not left:
                    break
        except ssl.SSLError as error:
            self._give_up(error)
        self._answer()
        if self._broken is not None and not pieces:
            raise self._broken
        return b"".join(pieces)

    def _answer(self) -> None:
        """Send what OpenSSL says of itself: an update of keys, the refusal of a renegotiation, an alert."""
        try:
            self._push()
        except OSError as error:
            self._broken = error  # for the next call: what was received is delivered first
        if self._outgoing.pending + len(self._unsent) > _LIMIT_UNSENT_BYTES:
            sentence = "the client sends, and does not take the answers of TLS"
            self._broken = ConnectionAbortedError(errno.ECONNABORTED, sentence)

    def _read_records(self, pieces: list[bytes]) -> None:
        # Without bytes in either place another read could only raise SSLWantReadError, and that costs as much as a
        # small record (3 us of 7).
        while self._incoming.pending or self._tls.pending():
            try:
                piece = self._tls.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self._said_goodbye = True
                return
            pieces.append(piece)

    # -- out

    def send(self, data: bytes | memoryview, /) -> int:
        """See `Stream`. Takes 64 KiB at most, and none while earlier ciphertext waits for the socket."""
        with self._lock:
            self._check()
            if not self._push():
                raise BlockingIOError(errno.EAGAIN, "earlier ciphertext waits for the socket")
            return self._encrypt(memoryview(data)[:BLOCK_BYTES])

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """See `Stream`."""
        with self._lock:
            self._check()
            if not self._push():
                raise BlockingIOError(errno.EAGAIN, "earlier ciphertext waits for the socket")
            return self._encrypt(memoryview(os.pread(fd, min(count, BLOCK_BYTES), offset)))

    def _encrypt(self, data: memoryview) -> int:
        records: list[bytes] = []
        taken = 0
        try:
            while taken < len(data):
                taken += self._tls.write(data[taken : taken + RECORD_BYTES])
                records.append(self._outgoing.read())
        except ssl.SSLError as error:
            self._give_up(error)
        self._unsent = memoryview(b"".join(records))
        self._push()
        if self._broken is not None and not taken:
            raise self._broken
        return taken

    def flush(self) -> bool:
        """See `Stream`."""
        with self._lock:
            return self._push()

    def close_notify(self) -> None:
        """See `Stream`. Does not wait for the client's own, and may leave something to `flush`."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._broken is None:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
            self._push()

    def _push(self) -> bool:
        """Whether the socket has taken all ciphertext."""
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            try:
                count = self._socket.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[count:]
        return True

    # -- the end

    def _give_up(self, error: ssl.SSLError) -> None:
        """OpenSSL goes no further. What it has done before that is still delivered."""
        self._broken = ConnectionAbortedError(errno.ECONNABORTED, f"TLS failed: {_reason(error)}")

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not accepted: {error.verify_message}"
    known = error.reason or "PROTOCOL_ERROR"
    return _SENTENCES.get(known, known.replace("_", " ").lower())
