"""`limit_request_body`: what is too large is refused, before anything of it is read where its length is known."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.client import Client, Fields, Response, request_bytes
from tests.integration.harness import Server
from tests.integration.secure import curl
from tests.integration.shared import running

LIMIT = 100_000
CHUNKED = [("Transfer-Encoding", "chunked")]


WAYS = [(kind, way) for kind in ("sync", "gthread") for way in ("buffered", "streamed")]


@pytest.fixture(scope="module", params=WAYS, ids=["-".join(way) for way in WAYS])
def limited(request: pytest.FixtureRequest) -> Iterator[Server]:
    kind, way = request.param
    options = ["--limit-request-body", str(LIMIT)]
    with running(Server, kind=kind, options=options + ["--no-request-buffering"] * (way == "streamed")) as server:
        yield server


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (LIMIT * 20))
    return path


def chunk(size: int) -> bytes:
    return f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"


def refused(client: Client) -> Response:
    response = client.read_response()
    assert response.status == 413
    assert response.closes
    assert client.at_end()
    return response


def by_curl(server: Server, *arguments: str) -> tuple[int, str]:
    """The status that curl saw, and what it says of the exchange."""
    assert not isinstance(server.address, str)
    done = curl("-v", *arguments, f"http://127.0.0.1:{server.address[1]}/digest")
    text = (done.stdout + done.stderr).decode(errors="replace")
    statuses = re.findall(r"< HTTP/1\.1 (\d+)", text)
    assert statuses, text
    return int(statuses[-1]), text


@pytest.mark.parametrize("length", [LIMIT + 1, 10**15])
def test_an_announced_body_is_refused_before_anything_of_it_was_sent(limited: Server, length: int) -> None:
    before = len(limited.notes("bodies"))
    with limited.client() as client:
        client.send(request_bytes("POST", "/digest", [("Content-Length", str(length))]))
        refused(client)
    assert len(limited.notes("bodies")) == before, "the application was called"


def test_who_waits_for_a_100_gets_the_refusal_instead(limited: Server) -> None:
    with limited.client() as client:
        fields = [("Content-Length", str(LIMIT + 1)), ("Expect", "100-continue")]
        client.send(request_bytes("POST", "/digest", fields))
        assert refused(client).interim == []


@pytest.mark.parametrize("fields", [[], CHUNKED], ids=["length", "chunked"])
def test_a_body_of_the_very_limit_is_served_and_the_connection_kept(limited: Server, fields: Fields) -> None:
    with limited.client() as client:
        for _ in range(2):
            if fields:
                client.send(request_bytes("POST", "/digest", fields) + chunk(LIMIT // 2) * 2 + b"0\r\n\r\n")
            else:
                client.send(request_bytes("POST", "/digest", body=b"x" * LIMIT))
            assert client.read_response().text.startswith(f"{LIMIT} ")


@pytest.mark.parametrize(
    "body", [chunk(LIMIT + 1), chunk(LIMIT) + chunk(1), b"f" * 15 + b"\r\n"], ids=["one", "two", "announced"]
)
def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(limited: Server, body: bytes) -> None:
    """Its end has not come. The application is not called; one that reads while it arrives sees no end either."""
    before = len(limited.notes("bodies"))
    with limited.client() as client:
        client.send(request_bytes("POST", "/digest", CHUNKED) + body)
        refused(client)
    assert len(limited.notes("bodies")) == before


@pytest.mark.parametrize("field", ["Expect:", "Expect: 100-continue", "Transfer-Encoding: chunked"])
def test_curl_sees_the_refusal(limited: Server, field: str, large: Path) -> None:
    status, said = by_curl(limited, "-H", field, "--data-binary", f"@{large}")
    assert status == 413, said
    assert ("100 Continue" in said) == field.startswith("Transfer-Encoding"), "only a length says that it is too large"


def test_a_pipelined_request_behind_a_refused_one_is_not_served(limited: Server) -> None:
    before = len(limited.notes("bodies"))
    with limited.client() as client:
        refuse = request_bytes("POST", "/digest", [("Content-Length", str(LIMIT + 1))])
        client.send(refuse + request_bytes("POST", "/digest", body=b"x"))
        refused(client)
    assert limited.get("/pid").status == 200
    assert len(limited.notes("bodies")) == before


def test_zero_is_no_limit(kind: str) -> None:
    with running(Server, kind=kind, options=["--limit-request-body", "0"]) as server, server.client() as client:
        assert client.request("POST", "/digest", body=b"x" * 3_000_000).text.startswith("3000000 ")
