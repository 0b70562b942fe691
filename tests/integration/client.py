"""A raw HTTP/1.1 client that hides nothing: it sends the bytes it is given and says exactly how an answer ended.

`Client` is one connection. `Browser` keeps cookies and follows what a person would click, over new connections.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

Address = tuple[str, int] | str
Fields = Sequence[tuple[str, str]]


class Cut(Exception):
    """The connection ended before the answer was complete. `received` is what had come."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"connection ended after {len(received)} bytes: {received[:200]!r}")
        self.received = received


@dataclass
class Response:
    """One final response; `interim` holds the 1xx responses before it."""

    status: int
    reason: str
    minor: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    until_close: bool = False
    interim: list["Response"] = field(default_factory=list)

    def field(self, name: str) -> str | None:
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def closes(self) -> bool:
        said = (self.field("Connection") or "").lower()
        return self.until_close or said == "close" or (self.minor == 0 and said != "keep-alive")


def connect(
    address: Address, timeout_s: float = 20.0, receive_buffer: int | None = None, source: str | None = None
) -> socket.socket:
    """source: the address of this machine that the server shall see."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            connection.bind((source, 0))
        connection.connect(address)
        if family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def request_bytes(
    method: str, target: str, fields: Fields = (), body: bytes | None = None, version: str = "HTTP/1.1"
) -> bytes:
    lines = [f"{method} {target} {version}", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class Client:
    """One connection to the server."""

    def __init__(self, address: Address, timeout_s: float = 20.0, source: str | None = None) -> None:
        self.socket = connect(address, timeout_s, source=source)
        self.buffer = bytearray()
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Leave as a crashed client does: the server sees ECONNRESET."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def request(
        self, method: str, target: str, fields: Fields = (), body: bytes | None = None, version: str = "HTTP/1.1"
    ) -> Response:
        self.send(request_bytes(method, target, fields, body, version))
        return self.read_response(method)

    def get(self, target: str, fields: Fields = ()) -> Response:
        return self.request("GET", target, fields)

    def read_response(self, method: str = "GET") -> Response:
        """Read one response whole. Raises Cut when the connection ends first, TimeoutError when it stalls."""
        interim = []
        while True:
            response = self.read_head()
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        self.read_body(response, method)
        return response

    def read_response_or_end(self, method: str = "GET") -> Response | None:
        """A response, or None when the connection ends without a byte of one."""
        if self.at_end():
            return None
        return self.read_response(method)

    def read_head(self) -> Response:
        lines = self.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status_line = re.fullmatch(r"HTTP/1\.(\d) (\d{3}) (.*)", lines[0])
        assert status_line, f"not a status line: {lines[0]!r}"
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon, f"not a header field: {line!r}"
            assert name.strip() == name, f"space around a field name: {line!r}"
            fields.append((name, value.strip()))
        return Response(int(status_line[2]), status_line[3], int(status_line[1]), fields)

    def read_body(self, response: Response, method: str) -> None:
        length = response.field("Content-Length")
        coding = response.field("Transfer-Encoding")
        assert length is None or coding is None, "both Content-Length and Transfer-Encoding"
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return
        if coding is not None:
            assert coding.lower() == "chunked", coding
            response.body = self.read_chunks()
        elif length is not None:
            response.body = self.take(int(length))
        else:
            response.until_close = True
            while self.fill():
                pass
            response.body = bytes(self.buffer)
            self.buffer.clear()

    def read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = int(self.take_until(b"\r\n").partition(b";")[0], 16)
            if size == 0:
                break
            body += self.take(size)
            assert self.take(2) == b"\r\n", "a chunk has no line end"
        while self.take_until(b"\r\n"):
            pass  # trailers
        return bytes(body)

    def take_until(self, mark: bytes) -> bytes:
        while (at := self.buffer.find(mark)) < 0:
            if not self.fill():
                raise Cut(bytes(self.buffer))
        taken = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return taken

    def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not self.fill():
                raise Cut(bytes(self.buffer))
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def fill(self) -> bool:
        """Read some bytes; False at the end of the connection (also a reset one)."""
        if self.ended:
            return False
        try:
            data = self.socket.recv(262144)
        except ConnectionError:
            data = b""
        self.buffer += data
        self.ended = not data
        return bool(data)

    def at_end(self) -> bool:
        """Whether the server has closed, waiting for it as long as the client's timeout."""
        return not self.buffer and not self.fill()


class Browser:
    """Cookies, forms and redirects over one address, as a person at a web browser would cause them."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}

    def request(self, method: str, target: str, fields: Fields = (), body: bytes | None = None) -> Response:
        sent = list(fields)
        if self.cookies:
            sent.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        with Client(self.address) as client:
            response = client.request(method, target, sent, body)
        for name, value in response.fields:
            if name.lower() == "set-cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                self.cookies[cookie] = content
        return response

    def get(self, target: str) -> Response:
        return self.request("GET", target)

    def post_form(self, target: str, values: dict[str, str]) -> Response:
        fields = [("Content-Type", "application/x-www-form-urlencoded")]
        return self.request("POST", target, fields, urlencode(values).encode())

    def post_file(self, target: str, name: str, content: bytes, fields: Fields = ()) -> Response:
        boundary = "a-boundary-that-no-test-file-contains"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="file.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        kind = ("Content-Type", f"multipart/form-data; boundary={boundary}")
        return self.request("POST", target, [kind, *fields], body)
