"""Serves bytes with a real connection and judges what became of them: the runner behind tests/corpus/http1.

It imports `ostler.http` and the corpus only, so that tests/mutation can load it anew over a broken copy of the package.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from ostler.http.connection import END, NEED_DATA, Peer
from ostler.http.encode import DateField
from ostler.http.errors import HttpError, ResponseError
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange
from ostler.http.limits import Leniency, Limits
from tests.unit.http.corpus import Case, bytewise, raw

PEER: Final = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))
SECOND: Final = b"GET /second HTTP/1.1\r\nHost: second\r\n\r\n"
SHORT_BYTES: Final = 300
"""Requests up to this size are cut in two at every byte."""


# -- requests ----------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of a connection: each request served, and the refusal behind them."""

    heads: list[dict[str, Any]] = field(default_factory=list)
    """All of RequestHead's attributes, and `body`."""
    status: int | None = None
    detail: str = ""
    bytes_needed: int = 0
    """How many bytes had been fed when it was refused."""


def limits_of(case: Case) -> Limits:
    leniency = Leniency(**dict.fromkeys(case.get("leniency", ()), True))
    return Limits(**case.get("limits", {}), leniency=leniency)


def serve(pieces: Iterable[bytes], limits: Limits, end: bool = False) -> Outcome:
    """Serve every request in `pieces`, reading bodies to their end and answering each with an empty 200."""
    connection = H1Connection(limits, PEER, DateField())
    outcome = Outcome()
    exchange = None
    body = b""
    for piece in [*pieces, *([b""] if end else [])]:
        connection.receive(piece)
        outcome.bytes_needed += len(piece)
        try:
            while True:
                if exchange is None:
                    exchange = connection.next_exchange()
                    body = b""
                    if exchange is None:
                        break
                while isinstance(data := exchange.read(), bytes):
                    body += data
                if data is NEED_DATA:
                    break
                assert data is END
                exchange.start(200, "OK", [], 0)
                exchange.end()
                head = exchange.head
                outcome.heads.append({name: getattr(head, name) for name in type(head).__slots__} | {"body": body})
                exchange = None
        except HttpError as error:
            outcome.status, outcome.detail = error.status, error.detail
            if exchange is not None:
                _fails_again(exchange, error)
            connection.refuse(error)
            connection.receive(SECOND)
            assert connection.next_exchange() is None
            assert not connection.wants_data
            break
        assert len(connection.received) <= max(len(piece), limits.head_bytes, 64 * 1024)
    answers = b"".join(part for part in connection.data_to_send() if isinstance(part, bytes))
    statuses = [200] * len(outcome.heads) + [outcome.status] * (outcome.status is not None)
    final = answers.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    if outcome.status is not None:
        told = exchange is None or exchange.head.method != "HEAD"
        assert final.rpartition(b"\r\n\r\n")[2].startswith(b"%d " % outcome.status) == told
    assert [int(line[9:12]) for line in final.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] == statuses
    assert connection.closed or (outcome.status is None and not end)
    return outcome


def _fails_again(exchange: H1Exchange, error: HttpError) -> None:
    again = None
    try:
        exchange.read()
    except HttpError as raised:
        again = raised
    assert again is error


def expect(case: Case, outcome: Outcome, behind: list[str] | None = None) -> None:
    """Assert that the outcome is the case's verdict; `behind` are targets served after the case's own requests."""
    assert outcome.status == case.get("status"), outcome.detail
    targets = [head["target"] for head in outcome.heads]
    accepted = case.get("accepted")
    if accepted is None:
        assert targets == []
        return
    expected = {name: value for name, value in accepted.items() if name not in {"reused", "then"}}
    if "body" in expected:
        expected["body"] = expected["body"].encode("latin-1")
    if "fields" in expected:
        expected["fields"] = [tuple(pair) for pair in expected["fields"]]
    found = outcome.heads[0]
    assert {name: found[name] for name in expected} == expected
    assert accepted.get("upgrade") == found["upgrade"]
    assert targets[1:] == [*accepted.get("then", ()), *(behind or ())]


def try_whole(case: Case) -> None:
    expect(case, serve([raw(case["request"])], limits_of(case), case.get("end", False)))


def try_bytewise(case: Case) -> None:
    expect(case, serve(bytewise(raw(case["request"])), limits_of(case), case.get("end", False)))


def try_cut(case: Case) -> None:
    """In two pieces, at every byte."""
    data, limits, end = raw(case["request"]), limits_of(case), case.get("end", False)
    if len(data) <= SHORT_BYTES:
        for cut in range(1, len(data)):
            expect(case, serve([data[:cut], data[cut:]], limits, end))


def can_be_followed(case: Case) -> bool:
    """What is behind an incomplete request is part of it, so such a case says nothing about a request behind it."""
    return not {"end", "waiting"} & case.keys()


def try_followed(case: Case) -> None:
    """With another request behind it, which is served only if the connection can be used again."""
    data, limits = raw(case["request"]), limits_of(case)
    for pieces in ([data + SECOND], bytewise(data + SECOND), [data, SECOND]):
        expect(case, serve(pieces, limits), ["/second"] if _reused(case) else [])


def try_followed_whole(case: Case) -> None:
    """The cheap part of it."""
    data = raw(case["request"])
    expect(case, serve([data + SECOND], limits_of(case)), ["/second"] if _reused(case) else [])


def _reused(case: Case) -> bool:
    return "accepted" in case and case["accepted"].get("reused", "status" not in case)


def try_early(case: Case) -> None:
    """The refusal comes with the byte that makes it certain."""
    outcome = serve(bytewise(raw(case["request"])), limits_of(case))
    assert outcome.bytes_needed == case["early"]


def try_strict(case: Case) -> None:
    """Without its leniency it is refused."""
    data, limits = raw(case["request"]), Limits(**case.get("limits", {}))
    for pieces in ([data + SECOND], bytewise(data)):
        outcome = serve(pieces, limits)
        assert (outcome.status, outcome.heads) == (case["strict"], [])


# -- responses ---------------------------------------------------------------------------------------------------

GET: Final = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EPOCH_S: Final = 784111777
OURS: Final = b"Server: ostler\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
"""What every head has besides; the corpus leaves it out."""


class Said:
    """What an application answers: a case's `says`, split as an adapter does."""

    def __init__(self, case: Case) -> None:
        line = case.get("says", "200 OK")
        self.line = line
        self.fields = [tuple(field) for field in case.get("fields", [])]
        self.blocks = [block.encode("latin-1") for block in case.get("blocks", [case.get("body", "")])]
        self.length = None if "blocks" in case else sum(map(len, self.blocks))
        """What the adapter knows of the body's length."""


def new_connection(case: Case) -> tuple[H1Connection, H1Exchange]:
    connection = H1Connection(Limits(), PEER, DateField(EPOCH_S))
    connection.receive(raw(case.get("request", GET)))
    exchange = connection.next_exchange()
    assert exchange is not None
    if "left" in case:
        connection.receive(b"")
    return connection, exchange


def sent(connection: H1Connection) -> bytes:
    """What was queued, without the fields that every head has."""
    return b"".join(part for part in connection.data_to_send() if isinstance(part, bytes)).replace(OURS, b"", 1)


def try_response(case: Case) -> None:
    """The response is what the case says, or the exchange refuses it with nothing on the wire."""
    connection, exchange = new_connection(case)
    said = Said(case)
    later = [raw(piece) for piece in case.get("later", ())]
    if case.get("reads", False):
        while (data := exchange.read()) is not END:
            if data is NEED_DATA:
                connection.receive(later.pop(0))
    fault = None
    try:
        exchange.start(int(said.line[:3]), said.line[4:], said.fields, said.length)
        for block in said.blocks:
            exchange.write(block)
        exchange.end()
    except ResponseError as error:
        fault = error
    if "refused" in case:
        assert fault is not None
        assert not exchange.started
        assert connection.data_to_send() == []
        exchange.refuse(HttpError(500))
        assert sent(connection) == REFUSAL
        assert connection.closed
        return
    assert (fault is not None) == case.get("broken", False)
    assert sent(connection) == raw(case["sent"])
    if fault is not None:
        exchange.abort()
        assert sent(connection) == b""
    for piece in later:
        connection.receive(piece)
    assert connection.closed or not ("left" in case or b"" in later)
    connection.receive(SECOND)
    second = connection.next_exchange()
    assert (second is not None) == case.get("reused", True)
    assert second is None or second.head.target == "/second"


REFUSAL: Final = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 26\r\n"
    b"Connection: close\r\n\r\n500 Internal Server Error\n"
)
