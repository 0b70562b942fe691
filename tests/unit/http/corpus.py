"""Reads tests/corpus/http1, and serves bytes to see what becomes of them."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from ostler.http.connection import END, NEED_DATA, Peer
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.limits import Leniency, Limits

CORPUS: Final = Path(__file__).parents[2] / "corpus" / "http1"
PEER: Final = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))


@dataclass
class Outcome:
    """What became of a connection: the first exchange, the targets behind it, the refusal."""

    heads: list[dict[str, Any]] = field(default_factory=list)
    status: int | None = None
    bytes_needed: int = 0
    """How many bytes had been fed when it was refused."""


def load_cases() -> Iterator[Any]:
    for path in sorted(CORPUS.glob("*.toml")):
        for case in tomllib.loads(path.read_text("utf-8"))["case"]:
            yield pytest.param(case, id=f"{path.stem}: {case['name']}")


CASES: Final = list(load_cases())


def limits_of(case: dict[str, Any]) -> Limits:
    leniency = Leniency(**dict.fromkeys(case.get("leniency", ()), True))
    return Limits(**case.get("limits", {}), leniency=leniency)


def raw(request: str | list[Any]) -> bytes:
    parts = [request] if isinstance(request, str) else request
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts).encode("latin-1")


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def run(pieces: Iterable[bytes], limits: Limits, end: bool = False) -> Outcome:
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
            outcome.status = error.status
            connection.refuse(error)
            break
        assert len(connection.received) <= max(len(piece), limits.head_bytes, 64 * 1024)
    answers = b"".join(part for part in connection.data_to_send() if isinstance(part, bytes))
    statuses = [200] * len(outcome.heads) + [outcome.status] * (outcome.status is not None)
    final = answers.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert [int(line[9:12]) for line in final.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] == statuses
    assert connection.closed or outcome.status is None
    return outcome
