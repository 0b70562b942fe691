"""An HTTP/1 response as a client reads it, without any benefit of the doubt. Anchors: RFC 9112 sections 4 and 6.3."""

from dataclasses import dataclass

from fuzz.reference.grammar import Incomplete, demand, is_number, is_value, take_chunks, take_field, take_line


@dataclass(frozen=True)
class Response:
    """One response; informational ones, too."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes
    end: int
    until_close: bool

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for other, value in self.fields if other == name]


def read_response(stream: bytes, at: int, method: str) -> Response:
    """The response at `at` to a request with `method`.

    Raises:
        Broken, Incomplete: see grammar.py.
    """
    line, at = take_line(stream, at)
    demand(is_value(line), "a control character in the status line")
    demand(line.startswith("HTTP/1.1 ") and is_number(line[9:12]) and line[12:13] == " ", "no status line")
    status = int(line[9:12])
    fields = []
    while True:
        field_line, at = take_line(stream, at)
        if field_line == "":
            break
        fields.append(take_field(field_line))
    response = Response(status, line[13:], fields, b"", at, False)
    lengths, codings = response.all("content-length"), response.all("transfer-encoding")
    demand(len(lengths) <= 1, "more than one Content-Length")
    demand(codings in ([], ["chunked"]), "a Transfer-Encoding that is not chunked")
    demand(not (lengths and codings), "two lengths")
    demand(lengths == [] or is_number(lengths[0]), "no Content-Length")
    if status < 200 or status == 204:
        demand(lengths == codings == [], "a length where there is no body")
        return response
    if status == 304 or method == "HEAD":
        return response
    if codings:
        body, end, _, _ = take_chunks(stream, at)
        return Response(status, response.reason, fields, body, end, False)
    if lengths:
        end = at + int(lengths[0])
        if end > len(stream):
            raise Incomplete
        return Response(status, response.reason, fields, stream[at:end], end, False)
    return Response(status, response.reason, fields, stream[at:], len(stream), True)
