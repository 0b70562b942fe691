"""`gunicorn.http.errors`: what is wrong with a request. Our parser knows a status and a sentence (`refusal`).

Rules for editing: names, arguments and `code` are Gunicorn's; each text says what was found.
"""

from typing import Any, Final

from ostler.http.errors import HttpError


class ParseException(Exception):
    """A request that cannot be understood."""

    _text = "%r"

    def __str__(self) -> str:
        return self._text % (self.args[0] if self.args else None,)


class NoMoreData(OSError):
    """The client went away within a request."""

    def __init__(self, buf: Any = None) -> None:
        super().__init__()
        self.buf = buf

    def __str__(self) -> str:
        return f"No more data after: {self.buf!r}"


class ConfigurationProblem(ParseException):
    code = 500
    _text = "Configuration problem: %s"

    def __init__(self, info: Any) -> None:
        super().__init__(info)
        self.info = info


class InvalidRequestLine(ParseException):
    code = 400
    _text = "Invalid HTTP request line: %r"

    def __init__(self, req: Any) -> None:
        super().__init__(req)
        self.req = req


class InvalidRequestMethod(ParseException):
    _text = "Invalid HTTP method: %r"

    def __init__(self, method: Any) -> None:
        super().__init__(method)
        self.method = method


class ExpectationFailed(ParseException):
    _text = "Unable to comply with expectation: %r"

    def __init__(self, expect: Any) -> None:
        super().__init__(expect)
        self.expect = expect


class InvalidHTTPVersion(ParseException):
    _text = "Invalid HTTP Version: %r"

    def __init__(self, version: Any) -> None:
        super().__init__(version)
        self.version = version


class InvalidHeader(ParseException):
    _text = "Invalid HTTP Header: %r"

    def __init__(self, hdr: Any, req: Any = None) -> None:
        super().__init__(hdr)
        self.hdr = hdr
        self.req = req


class ObsoleteFolding(ParseException):
    _text = "Obsolete line folding is unacceptable: %r"

    def __init__(self, hdr: Any) -> None:
        super().__init__(hdr)
        self.hdr = hdr


class InvalidHeaderName(ParseException):
    _text = "Invalid HTTP header name: %r"

    def __init__(self, hdr: Any) -> None:
        super().__init__(hdr)
        self.hdr = hdr


class InvalidResponseHeader(InvalidHeader):
    """The application's fault."""

    _text = "Invalid response header from the application: %s"


class InvalidResponseHeaderName(InvalidHeaderName):
    """The application's fault."""

    _text = "Invalid response header name from the application: %s"


class UnsupportedTransferCoding(ParseException):
    code = 501
    _text = "Unsupported transfer coding: %r"

    def __init__(self, hdr: Any) -> None:
        super().__init__(hdr)
        self.hdr = hdr


class InvalidChunkSize(ParseException):
    code = 400
    _text = "Invalid chunk size: %r"

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.data = data


class ChunkMissingTerminator(ParseException):
    code = 400
    _text = "Invalid chunk terminator is not '\\r\\n': %r"

    def __init__(self, term: Any) -> None:
        super().__init__(term)
        self.term = term


class InvalidChunkExtension(ParseException):
    code = 400
    _text = "Invalid chunk extension: %r"

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.data = data


class LimitRequestLine(ParseException):
    _text = "Request Line is too large (%s)"

    def __init__(self, size: Any, max_size: Any = None) -> None:
        super().__init__(f"{size} > {max_size}" if max_size is not None else size)
        self.size = size
        self.max_size = max_size


class LimitRequestHeaders(ParseException):
    _text = "%s"

    def __init__(self, msg: Any) -> None:
        super().__init__(msg)
        self.msg = msg


class InvalidProxyLine(ParseException):
    code = 400
    _text = "Invalid PROXY line: %r"

    def __init__(self, line: Any) -> None:
        super().__init__(line)
        self.line = line


class InvalidProxyHeader(ParseException):
    code = 400
    _text = "Invalid PROXY header: %s"

    def __init__(self, msg: Any) -> None:
        super().__init__(msg)
        self.msg = msg


class ForbiddenProxyRequest(ParseException):
    code = 400
    _text = "Proxy request from %r not allowed"

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.host = host


class InvalidSchemeHeaders(ParseException):
    def __str__(self) -> str:
        return "Contradictory scheme headers"


class InvalidRequest(InvalidRequestLine, InvalidHeader, InvalidHeaderName, InvalidChunkSize, ChunkMissingTerminator):
    """A 400 of ours, which does not say which of Gunicorn's it is: whoever expects one of them catches it."""

    _text = "Invalid HTTP request: %s"

    def __init__(self, detail: str) -> None:
        Exception.__init__(self, detail)
        self.req = self.hdr = self.data = self.term = detail


_BY_STATUS: Final[dict[int, type[ParseException]]] = {
    414: LimitRequestLine,
    417: ExpectationFailed,
    431: LimitRequestHeaders,
    501: UnsupportedTransferCoding,
    505: InvalidHTTPVersion,
}


def refusal(error: HttpError) -> ParseException:
    """What Gunicorn raises where our parser raises `error`."""
    made: ParseException = _BY_STATUS.get(error.status, InvalidRequest)(error.detail or error.reason)
    return made
