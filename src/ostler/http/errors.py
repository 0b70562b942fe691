"""What goes wrong between a client's bytes and an exchange, and between an application and its response.

`HttpError` is the client's fault (or ours, with a 5xx): it ends the parsing of its connection for good, and the driver
answers it with `H1Connection.refuse`. `ResponseError` is the application's fault.

Editing rules: the client is told status and reason only; `detail` is for our log.
Anchors: RFC 9110 section 15 for the statuses.
"""

from http import HTTPStatus
from typing import Final

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus} | {
    # The names of RFC 9110; http.HTTPStatus of some Python versions has older ones.
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def reason_phrase(status: int) -> str:
    """The standard phrase of a status, or "Unknown"."""
    return _REASONS.get(status, "Unknown")


class HttpError(Exception):
    """A request that cannot be served. Answered with `status` and `reason`, after which the connection closes.

    `detail` says what was expected and what was found, for our log; it never reaches the client.
    """

    def __init__(self, status: int, detail: str = "") -> None:
        self.status = status
        self.reason = reason_phrase(status)
        self.detail = detail
        super().__init__(f"{status} {self.reason}: {detail}" if detail else f"{status} {self.reason}")


class ResponseError(ValueError):
    """The application asked for a response that HTTP cannot express.

    What was queued when it is raised stands in the method's contract (connection.py).
    """
