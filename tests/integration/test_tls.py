"""TLS as clients see it: curl, OpenSSL's s_client and Python's ssl, over every worker kind."""

import hashlib
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.client import request_bytes
from tests.integration.harness import Server
from tests.integration.load import percentile
from tests.integration.secure import (
    SERVER,
    TlsClient,
    ask,
    curl,
    fetched,
    s_client,
    trusting,
    typed_request,
    url,
)
from tests.integration.shared import running
from tests.integration.waiting import wait_until

WORKERS = 3
ACCESS = "%(h)s %(m)s %(U)s %(s)s %({wsgi.url_scheme}e)s %({ssl_protocol}e)s"
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module", params=["sync", "gthread"])
def secure(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = [*SERVER, "--access-logfile", "HOME/access.log", "--access-logformat", ACCESS]
    with running(Server, kind=request.param, workers=WORKERS, options=options) as server:
        (server.home / "file.bin").write_bytes(bytes(range(256)) * 12_000)
        yield server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(bytes(range(256)) * 16_000)  # 4 MiB
    return path


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_gets_an_answer_under_each_version(secure: Server, version: str) -> None:
    environ = json.loads(fetched(f"--tlsv{version}", "--tls-max", version, url(secure, "/environ?a=b")))
    assert (environ["wsgi.url_scheme"], environ["HTTPS"], environ["SSL_PROTOCOL"]) == ("https", "on", f"TLSv{version}")
    assert environ["QUERY_STRING"] == "a=b"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert "SSL_CLIENT_CERT" not in environ


def test_curl_does_not_trust_another_authority(secure: Server) -> None:
    done = curl(url(secure), ca=Path(__file__).parents[1] / "certificates" / "other-ca.pem")
    assert done.returncode == 60, done.stderr
    assert ask(secure).isdigit()


@pytest.mark.parametrize("way", ["length", "chunked", "expect"])
def test_curl_uploads_and_downloads_megabytes(secure: Server, data: Path, way: str) -> None:
    fields = {"length": "Expect:", "chunked": "Transfer-Encoding: chunked", "expect": "Expect: 100-continue"}
    sent = fetched("--http1.1", "-H", fields[way], "--data-binary", f"@{data}", url(secure, "/echo"))
    assert hashlib.sha256(sent).digest() == hashlib.sha256(data.read_bytes()).digest()


def test_curl_downloads_a_file_and_blocks_whole(secure: Server) -> None:
    assert fetched(url(secure, "/file")) == (secure.home / "file.bin").read_bytes()
    assert fetched(url(secure, "/blocks/50")) == b"y" * (50 * 65536)
    assert fetched(url(secure, "/chunked/100")).count(b"block") == 100


def test_curl_asks_for_a_head_only(secure: Server) -> None:
    head = fetched("--head", url(secure, "/bytes/1000"))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 1000" in head.lower()


def test_curl_keeps_its_connection(secure: Server) -> None:
    written = fetched("-w", "%{num_connects}\n", *[url(secure, "/pid")] * 5)
    assert re.findall(rb"^\d*?([01])$", written, re.MULTILINE) == [b"1", b"0", b"0", b"0", b"0"]
    assert len({line[:-1] for line in written.splitlines()}) == 1


@pytest.mark.parametrize("version", [V12, V13])
def test_python_keeps_a_connection_pipelines_and_is_told_of_its_end(secure: Server, version: ssl.TLSVersion) -> None:
    context = trusting(minimum_version=version, maximum_version=version)
    with TlsClient(secure.address, context=context) as client:
        for _ in range(5):
            assert client.get("/pid").status == 200
        client.send(request_bytes("GET", "/bytes/10") * 20)
        assert [client.read_response().body for _ in range(20)] == [b"x" * 10] * 20
        assert client.request("GET", "/", [("Connection", "close")]).text == "hello"
        assert client.at_end()
        assert client.notified, "the end came without close_notify"


def test_pipelined_requests_in_one_record_are_all_served(secure: Server) -> None:
    """Plaintext that the decryption has, and the socket has not, is announced by nobody but us."""
    with TlsClient(secure.address) as client:
        client.send(request_bytes("GET", "/bytes/1") * 200)
        for _ in range(200):
            assert client.read_response().body == b"x"


def test_one_byte_per_record_is_served(secure: Server) -> None:
    with TlsClient(secure.address) as client:
        for byte in request_bytes("POST", "/echo", body=b"abc"):
            client.send(bytes([byte]))
        assert client.read_response().body == b"abc"


def test_a_large_body_comes_back_whole(secure: Server) -> None:
    body = bytes(range(250)) * 12_000
    with TlsClient(secure.address) as client:
        client.send(request_bytes("POST", "/echo", body=body))
        assert client.read_response().body == body
        assert client.get("/pid").status == 200


@pytest.mark.parametrize("target", ["/bytes/3000000", "/blocks/40", "/file"])
def test_a_slow_reader_gets_a_large_response_whole(secure: Server, target: str) -> None:
    with TlsClient(secure.address) as slow:
        slow.send(request_bytes("GET", target))
        assert slow.fill()
        for _ in range(5):
            assert ask(secure).isdigit()
        for _ in range(30):
            slow.buffer += slow.socket.recv(1000)
        assert len(slow.read_response().body) > 2_600_000
        assert slow.get("/pid").status == 200


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssl_asks_under_each_version_and_hears_the_end(secure: Server, version: str) -> None:
    shown = s_client(secure, f"-tls{version}", "-msg", typed=typed_request("/bytes/5"))
    assert shown.status == 0, shown.text
    assert shown.version == f"TLSv{version.replace('_', '.')}"
    assert "xxxxx" in shown.text
    assert re.search(r"<<< .*Alert.*warning close_notify", shown.text), "no close_notify"
    assert "Verify return code: 0 (ok)" in shown.text


@pytest.mark.parametrize("version", ["1", "1_1"])
def test_versions_before_1_2_are_refused(secure: Server, version: str) -> None:
    shown = s_client(secure, f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0")
    assert shown.version is None
    assert "alert" in shown.text
    assert "protocol version" in shown.text


def test_renegotiation_is_refused(secure: Server) -> None:
    shown = s_client(secure, "-tls1_2", "-msg", typed=b"R\n", commands=True)
    assert "RENEGOTIATING" in shown.text
    assert re.search(r"<<< .*Alert.*no_renegotiation", shown.text), shown.text
    assert ask(secure).isdigit()


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssl_resumes_its_session(secure: Server, version: str, tmp_path: Path) -> None:
    session = str(tmp_path / "session")
    first = s_client(secure, f"-tls{version}", "-sess_out", session, typed=typed_request("/pid"))
    assert first.version
    assert not first.reused
    for _ in range(3):
        again = s_client(secure, f"-tls{version}", "-sess_in", session, typed=typed_request("/pid"))
        assert again.reused, again.text


@pytest.mark.parametrize("version", [V12, V13])
def test_python_resumes_its_session_in_every_worker(secure: Server, version: ssl.TLSVersion) -> None:
    """Busy ones let others accept; the application notes who it was."""
    context = trusting(minimum_version=version, maximum_version=version)
    with TlsClient(secure.address, context=context) as first:
        assert first.get("/pid").status == 200
        session = first.tls.session
    before = len(secure.notes("sleeping"))
    busy: list[TlsClient] = []
    try:
        for number in range(1, 5 * WORKERS):
            busy.append(TlsClient(secure.address, context=context, session=session))
            assert busy[-1].tls.session_reused
            busy[-1].send(request_bytes("GET", "/sleep/400"))
            wait_until(lambda number=number: len(secure.notes("sleeping")) >= before + number, "it sleeps")  # type: ignore[misc]
            if len(set(secure.notes("sleeping")[before:])) == WORKERS:
                break
        for client in busy:
            assert client.read_response().text == "slept 400"
    finally:
        for client in busy:
            client.close()
    assert len(set(secure.notes("sleeping")[before:])) == WORKERS


def test_scheme_peer_and_version_are_in_the_access_log(secure: Server) -> None:
    assert fetched("--tls-max", "1.2", url(secure, "/bytes/7")) == b"x" * 7
    wanted = "127.0.0.1 GET /bytes/7 200 https TLSv1.2"
    log = secure.home / "access.log"
    wait_until(lambda: wanted in log.read_text(), "the request is logged")


def test_a_crowd_of_browsers_loads_pages(secure: Server, figure: Callable[[str], None]) -> None:
    """Six connections each, each with several requests, all at once."""
    browsers, connections, requests = 8, 6, 5

    def load(number: int) -> list[float]:
        took = []
        with TlsClient(secure.address) as client:
            for index in range(requests):
                began = time.monotonic()
                size = 1000 * (1 + (number + index) % 40)
                assert client.get(f"/bytes/{size}").body == b"x" * size
                took.append(time.monotonic() - began)
        return took

    count = browsers * connections
    with ThreadPoolExecutor(count) as pool:
        took = sorted(each for some in pool.map(load, range(count)) for each in some)
    figure(f"TLS: {count} connections at once, p50={percentile(took, 50) * 1000:.1f}ms max={took[-1] * 1000:.1f}ms")
    assert len(took) == count * requests


def test_a_client_that_vanishes_in_the_middle_hurts_nobody(secure: Server) -> None:
    for _ in range(5):
        client = TlsClient(secure.address)
        client.send(request_bytes("GET", "/blocks/200"))
        assert client.fill()
        client.reset()
    with TlsClient(secure.address) as client:
        client.send(request_bytes("POST", "/echo", [("Content-Length", "10")]) + b"abc")
    assert ask(secure).isdigit()
