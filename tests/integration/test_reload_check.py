"""Warm-up requests: a worker that does not answer them never serves, and the one it should replace goes on."""

import signal
from collections.abc import Callable

from tests.integration.harness import Server
from tests.integration.waiting import wait_until

# What it does is in the file `mode`, so that one server sees every way to fail.
WARM = """
import pathlib, time

HOME = pathlib.Path(__file__).parent

def application(environ, start_response):
    mode = (HOME / "mode").read_text()
    if environ["HTTP_USER_AGENT"] != "ostler-check":
        mode = "302"
    if mode == "raise":
        raise RuntimeError("cold")
    if mode == "hang":
        time.sleep(60)
    start_response(f"{mode} Whatever", [("Content-Length", "2")])
    return Body()

class Body(list):
    def __init__(self):
        super().__init__([b"ok"])
    def close(self):
        with (HOME / "closed").open("a") as file:
            file.write("closed\\n")
"""
AGENT = [("User-Agent", "test")]


def test_a_worker_that_fails_its_check_never_serves(serve: Callable[..., Server], kind: str) -> None:
    options = ["--reload-check", "/health", "--reload-check", "http://example.org/other", "--access-logfile", "-"]
    # As many requests as checks: these must not count.
    options += ["--max-requests", "2", "--boot-timeout", "3", "--pythonpath", "."]
    server = serve("warm:application", kind=kind, workers=1, options=options, files={"warm.py": WARM, "mode": "200"})
    assert len(server.wait_log(r'"GET /(health|other) HTTP/1\.1" 200 2 "-" "ostler-check"')) == 2
    assert server.notes("closed") == ["closed"] * 2
    (first,) = server.wait_ready()
    for mode, reason in [
        ("404", "check /health answered 404"),
        ("raise", "check /health answered 500"),
        ("hang", r"boot timeout: not ready after 3 s"),
    ]:
        (server.home / "mode").write_text(mode)
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log(rf"reload failed: generation \d did not start \({reason}\); generation 1 keeps serving", since)
        wait_until(lambda: server.worker_pids() == [first], "the failed worker is gone")
    server.wait_log(r"warm\.py", since)  # the stacks of what hung
    assert server.client().request("GET", "/", AGENT).status == 302
    (server.home / "mode").write_text("302")
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete: generation 5", since)
    assert "asks to be replaced" not in server.log()


def test_a_first_worker_that_fails_its_check_ends_the_server(make_server: Callable[..., Server]) -> None:
    server = make_server()
    (server.home / "warm.py").write_text(WARM)
    (server.home / "mode").write_text("500")
    server.start("warm:application", options=["--reload-check", "/", "--pythonpath", "."])
    assert server.wait_exit() == 3
    server.wait_log(r"check / answered 500\); nothing serves yet: stopping")
