"""TLS on the client's side: Python's, curl's and OpenSSL's, with the certificates of tests/certificates."""

import contextlib
import re
import ssl
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.integration.client import Address, Client, connect
from tests.integration.harness import ROOT, Server
from tests.integration.proxy import find_tool

CERTIFICATES = ROOT / "tests" / "certificates"
CA = CERTIFICATES / "ca.pem"
SERVER = ["--certfile", str(CERTIFICATES / "localhost.pem")]
"""The least that makes a server speak TLS: certificate and key in one file, for localhost and 127.0.0.1."""


def trusting(client: str | None = None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    """A client's context that trusts our authority; `client`: the certificate that it shows."""
    context = ssl.create_default_context(cafile=str(CA))
    if client is not None:
        context.load_cert_chain(str(CERTIFICATES / f"{client}.pem"))
    for name, version in versions.items():
        setattr(context, name, version)
    return context


def trusting_of_threads() -> ssl.SSLContext:
    """For a client that reads in one thread while it writes in another, as `websockets.sync` does.

    A request of such a client is lost now and then while it reads the tickets of TLS 1.3 behind the handshake: 4 of
    1,200 under Python 3.13 (beside uvicorn they wait, too), none of those that have one thread or TLS 1.2.
    """
    return trusting(maximum_version=ssl.TLSVersion.TLSv1_2)


class TlsClient(Client):
    """One connection under TLS. `notified`: the server said that it is done (close_notify)."""

    def __init__(
        self,
        address: Address,
        timeout_s: float = 20.0,
        context: ssl.SSLContext | None = None,
        name: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        super().__init__(address, timeout_s)
        self.notified = False
        wrapper = trusting() if context is None else context
        try:
            self.tls = wrapper.wrap_socket(
                self.socket, server_hostname=name, session=session, suppress_ragged_eofs=False
            )
        except BaseException:
            self.socket.close()
            raise
        self.socket = self.tls

    def fill(self) -> bool:
        if self.ended:
            return False
        try:
            data = self.socket.recv(262144)
            self.notified = not data
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        self.buffer += data
        self.ended = not data
        return bool(data)

    def shown(self) -> str:
        """The common name of the server's certificate."""
        certificate = self.tls.getpeercert()
        assert certificate is not None
        return common_name(certificate)


class RawTls:
    """TLS over a plain socket: the test has every record in its hands."""

    def __init__(self, address: Address, timeout_s: float = 20.0) -> None:
        self.socket = connect(address, timeout_s)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.plain = b""  # received so far
        self.tls = trusting().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def hello(self) -> bytes:
        """The first message, a ClientHello."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def shake_hands(self, piece: int = 1 << 20) -> None:
        """The whole handshake, `piece` bytes at a time."""
        self.send(self.hello(), piece)
        while True:
            self.incoming.write(self.socket.recv(65536))
            try:
                self.tls.do_handshake()
                self.send(self.outgoing.read(), piece)
                return
            except ssl.SSLWantReadError:
                self.send(self.outgoing.read(), piece)

    def send(self, data: bytes, piece: int = 1 << 20) -> None:
        for at in range(0, len(data), piece):
            self.socket.sendall(data[at : at + piece])

    def records(self, data: bytes) -> bytes:
        """`data` encrypted."""
        self.tls.write(data)
        return self.outgoing.read()

    def received(self) -> bytes:
        """All that comes until the end. Raises SSLError for an alert, and for an end without close_notify."""
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                self.incoming.write(data)
        self.incoming.write_eof()
        while block := self.tls.read(65536):
            self.plain += block
        return self.plain


def common_name(certificate: Mapping[str, object]) -> str:
    subject = certificate["subject"]
    assert isinstance(subject, tuple)
    return str(dict(pair for (pair,) in subject)["commonName"])


def ask(server: Server, target: str = "/pid", **options: object) -> str:
    """One request over a connection of its own; the text of its answer."""
    with TlsClient(server.address, **options) as client:  # type: ignore[arg-type]
        response = client.request("GET", target, [("Connection", "close")])
    assert response.status == 200
    return response.text


def url(server: Server, target: str = "/") -> str:
    assert not isinstance(server.address, str)
    return f"https://localhost:{server.address[1]}{target}"


def curl(*arguments: str, ca: Path = CA, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run curl; nothing of the user's own configuration, and no proxy."""
    command = [find_tool("curl"), "-q", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(ca)]
    return subprocess.run([*command, *arguments], input=data, capture_output=True, timeout=60, check=False)


def fetched(*arguments: str, data: bytes = b"") -> bytes:
    """What curl printed; it must succeed."""
    done = curl(*arguments, data=data)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


@dataclass(frozen=True)
class Shown:
    """What `openssl s_client` printed."""

    status: int
    text: str

    @property
    def version(self) -> str | None:
        """Of TLS; None: there was no session."""
        found = re.search(r"^(?:New|Reused), (TLSv[\d.]+), Cipher is (?!\(NONE\))", self.text, re.MULTILINE)
        return found and found[1]

    @property
    def reused(self) -> bool:
        return re.search(r"^Reused, TLS", self.text, re.MULTILINE) is not None


def s_client(server: Server, *arguments: str, typed: bytes = b"", commands: bool = False) -> Shown:
    """Run `openssl s_client` until the server closes. `typed` is sent; commands: its first letter is one of s_client's.

    The end of its input is not given to it before: it would close the connection then.
    """
    assert not isinstance(server.address, str)
    command = [find_tool("openssl"), "s_client", "-connect", f"127.0.0.1:{server.address[1]}", "-CAfile", str(CA)]
    command += ["-verify_return_error", *([] if commands else ["-ign_eof"]), *arguments]
    if "-noservername" not in arguments:
        command += ["-servername", "localhost"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        killer = threading.Timer(30, process.kill)
        killer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended: no handshake
                process.stdin.write(typed)
            printed = process.stdout.read()
        finally:
            killer.cancel()
    return Shown(process.returncode, printed.decode(errors="replace"))


def typed_request(target: str, *fields: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def options(**settings: str | int | Path) -> Sequence[str]:
    """certfile="x" -> --certfile x."""
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
