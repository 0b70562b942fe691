"""Projects that take hold of the logs: filters, formatters and loggers of their own."""

import json
from collections.abc import Callable
from typing import Any

from tests.compat.command import wait_serving, wait_text
from tests.integration.harness import Server


def test_health_checks_stay_out_of_the_access_log(project: Callable[..., Server]) -> None:
    """Filters added in the master, before and after the sockets are bound, in the worker, and by the application."""
    server = project("healthcheck", "shop:application")
    quiet = ["/health-of-on-starting", "/health-of-when-ready", "/health-of-post-fork"]
    with server.client() as client:
        for target in quiet:
            client.get(target)
        client.get("/probed", [("User-Agent", "kube-probe/1.30")])
        client.get("/health-of-post-fork?ill")
        client.get("/last")
    server.wait_log('"GET /last HTTP/1.1" 200')
    requests = [line.split('"')[1].split()[1] for line in server.log().splitlines() if '"GET ' in line]
    assert requests == ["/health-of-post-fork?ill", "/last"]


def test_both_logs_are_json_by_a_formatter_that_reads_the_atoms(project: Callable[..., Server]) -> None:
    server = project("json_logs", "shop:application", ready=0)
    wait_serving(server)
    with server.client() as client:
        fields = [("User-Agent", 'an "agent"'), ("X-Request-Id", "42"), ("X-Forwarded-Proto", "https")]
        client.get('/a%20path?q="', fields)
    server.wait_log('"request_id": "42"')
    lines: list[dict[str, Any]] = [json.loads(line) for line in server.log().splitlines()]
    (access,) = [line for line in lines if line.get("request_id") == "42"]
    assert isinstance(access.pop("took_ms"), int)
    assert access == {
        "logger": "gunicorn.access",
        "level": "INFO",
        "remote": "127.0.0.1",
        "method": "GET",
        "path": "/a path",
        "query": 'q=\\"',  # quotes are escaped in the atoms, as Gunicorn does
        "status": 200,
        "agent": 'an \\"agent\\"',
        "request_id": "42",
        "type": "text/plain",
        "scheme": "https",
    }
    assert any("Listening at" in line.get("message", "") for line in lines if line["logger"] == "gunicorn.error")


def test_logger_class_of_the_project_is_the_one_that_logs(project: Callable[..., Server]) -> None:
    server = project("logger_class", "shop:application", ready=0)
    wait_serving(server, "/health")
    with server.client() as client:
        client.request("POST", "/buy", body=b"12345")
    text = wait_text(server.home / "own.log", lambda text: "/buy" in text, "has the request")
    access = [line for line in text.splitlines() if line.startswith("gunicorn.access")]
    assert access == ["gunicorn.access|INFO|POST /buy 200 size=5"]
    assert "gunicorn.error|INFO|logger derives from ostler.compat.glogging" in text, "also beside a real Gunicorn"
    assert "gunicorn.error|INFO|Listening at: http://127.0.0.1:" in text
    assert server.log() == "", "nothing went where it would have gone"
