"""Flask 3 over every kind: the example that `make run` serves, and an application that streams and fails."""

import hashlib
import json
from collections.abc import Callable

import pytest

from tests.integration.client import Browser
from tests.integration.harness import ROOT, Server

EXAMPLE = ROOT / "examples" / "flask_app"
UPLOAD = bytes(range(256)) * 20_000


@pytest.fixture
def example(make_server: Callable[..., Server], kind: str, transport: str) -> Server:
    """The example with its own configuration file; only address and kind are said on the command line."""
    server = make_server(transport)
    server.start(
        "app:app",
        kind=kind,
        options=["--config", "ostler.conf.py"],
        cwd=EXAMPLE,
        env={"GUESTBOOK_DB": str(server.home / "guests.sqlite3")},
    )
    server.wait_ready()
    return server


def test_the_example_serves_its_page_form_upload_download_and_health(example: Server) -> None:
    browser = Browser(example.address)
    page = browser.get("/")
    assert page.status == 200
    assert "Nobody has signed yet" in page.text
    assert browser.get("/static/style.css").field("Content-Type") == "text/css; charset=utf-8"

    answer = browser.post_form("/guests", {"name": "Ada <b>", "horse": "Bit", "nights": "2"})
    assert (answer.status, answer.field("Location")) == (302, "/")
    page = browser.get("/")
    assert "Welcome, Ada &lt;b&gt;!" in page.text
    assert "<td>Bit</td>" in page.text

    answer = browser.post_file("/upload", "file", UPLOAD)
    assert str(len(UPLOAD)) in answer.text
    assert hashlib.sha256(UPLOAD).hexdigest() in answer.text

    ledger = browser.get("/ledger.csv?lines=50000")
    assert ledger.field("Transfer-Encoding") == "chunked"
    assert ledger.text.count("\n") == 50_001
    assert ledger.text.splitlines()[-1].startswith("50000,")

    assert json.loads(browser.get("/health").body)["status"] == "ok"
    example.wait_log(r'"GET /health HTTP/1\.1" 200')


def test_flask_streams_both_ways_and_turns_errors_into_responses(serve: Callable[..., Server], kind: str) -> None:
    server = serve("flask_app:app", kind=kind, workers=1)
    browser = Browser(server.address)
    assert json.loads(browser.get("/").body)["multithread"] is (kind == "gthread")
    sent = json.dumps({"a": [1, "ü"]}).encode()
    answer = browser.request("POST", "/json", [("Content-Type", "application/json")], sent)
    assert json.loads(answer.body) == {"received": {"a": [1, "ü"]}}
    with server.client() as client:
        assert json.loads(client.request("POST", "/stream", body=UPLOAD).body) == {"size": len(UPLOAD)}
        assert client.get("/numbers?count=4").text == "0 /numbers\n1 /numbers\n2 /numbers\n3 /numbers\n"
        assert client.get("/broken").status == 500
        assert client.get("/teapot").status == 418
        assert client.get("/no-such-page").status == 404
    server.wait_log("this view is broken on purpose")
