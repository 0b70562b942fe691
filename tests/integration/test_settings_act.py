"""Settings do something that can be seen from outside: nothing is parsed and ignored.

One case for a setting, with the real command, and with a value whose effect the default does not have. The other
settings are shown in tests/compat, where a setting of the table that neither place shows fails.
"""

import json
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from ostler.config.sections import TABLE
from tests.integration.client import Client, Cut, request_bytes
from tests.integration.harness import Server, bind_value, free_port
from tests.integration.inflight import InFlight
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

ANSWERS = """
import os, threading

together = threading.Barrier(3, timeout=5)

def answer(start_response, text):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]

def where(environ, start_response):
    return answer(start_response, os.getcwd())

def thread(environ, start_response):
    return answer(start_response, threading.current_thread().name)

def three_at_once(environ, start_response):
    together.wait()
    return answer(start_response, "met")
"""


@dataclass
class Desk:
    """What a case works with: `run` starts the real command with little more than what the case gives."""

    make_server: Callable[..., Server]

    def run(
        self,
        *options: str,
        config: str | None = None,
        app: str | None = "contract:application",
        ready: int = 1,
        bind: bool = True,
        transport: str = "tcp",
        files: dict[str, str] | None = None,
    ) -> Server:
        """Wait for `ready` workers; with 0, for nothing."""
        server = self.make_server(transport)
        for name, content in {"answers.py": ANSWERS, **(files or {})}.items():
            path = server.home / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        command = [sys.executable, "-m", "ostler", *(option.replace("HOME", str(server.home)) for option in options)]
        if bind:
            command += ["--bind", bind_value(server.address)]
        if config is not None:
            (server.home / "given.py").write_text(config)
            command += ["--config", str(server.home / "given.py")]
        server.launch([*command, app] if app else command, {}, server.home)
        if ready:
            server.wait_ready(ready)
        return server


def answers(server: Server) -> bool:
    """Whether somebody listens. (A socket's file is there a moment before.)"""
    try:
        return server.get("/").status == 200
    except OSError:
        return False


def environ_with(server: Server, *fields: tuple[str, str]) -> dict[str, object]:
    with server.client() as client:
        shown: dict[str, object] = json.loads(client.get("/environ", fields).body)
    return shown


def status_of(server: Server, target: str, fields: Sequence[tuple[str, str]] = ()) -> int:
    with server.client() as client:
        return client.get(target, fields).status


def config(desk: Desk) -> None:
    server = desk.run("--config", "HOME/sub/mine.py", files={"sub/mine.py": "workers = 2\n"}, ready=2)
    assert len(server.worker_pids()) == 2


def wsgi_app(desk: Desk) -> None:
    server = desk.run(config="wsgi_app = 'answers:where'\n", app=None)
    assert server.get("/").text == str(server.home)


def bind(desk: Desk) -> None:
    ports = free_port(), free_port()
    server = desk.run("-b", f"127.0.0.1:{ports[0]}", "-b", f"127.0.0.1:{ports[1]}", "-b", "unix:HOME/other", bind=False)
    for address in (("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), str(server.home / "other")):
        with Client(address) as client:
            assert client.get("/").status == 200


def backlog(desk: Desk) -> None:
    server = desk.run("--backlog", "3", transport="unix")
    running = InFlight(server, 500)
    assert isinstance(server.address, str)
    waiting: list[socket.socket] = []
    while len(waiting) < 20:
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        try:
            waiting[-1].connect(server.address)
        except BlockingIOError:  # the kernel's queue is full
            break
    queued = len(waiting) - 1
    running.join()
    for each in waiting:
        each.close()
    assert queued == 4, "unix(7) holds one more than the backlog"


def workers(desk: Desk) -> None:
    assert len(desk.run("--workers", "3", ready=3).worker_pids()) == 3


def worker_class(desk: Desk) -> None:
    names = [desk.run("-k", kind, app="answers:thread").get("/").text for kind in ("sync", "gthread")]
    assert names[0] == "MainThread"
    assert names[1] != "MainThread"


def threads(desk: Desk) -> None:
    server = desk.run("--threads", "3", app="answers:three_at_once")
    clients = [server.client() for _ in range(3)]
    for client in clients:
        client.send(request_bytes("GET", "/"))
    assert [client.read_response().text for client in clients] == ["met"] * 3


def worker_connections(desk: Desk) -> None:
    server = desk.run("--worker-connections", "3")
    clients = [server.client() for _ in range(4)]
    for client in clients:
        assert client.get("/").status == 200
    assert clients[0].at_end()


def reload_surge(desk: Desk) -> None:
    """The three new workers boot at the same time, once the first has shown that they do."""
    server = desk.run("--workers", "3", "--reload-surge", "3", ready=3)
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete")
    lines = [line for line in server.log().partition("generation 2 starts")[2].splitlines() if "exited" not in line]
    assert ["worker booting" in line for line in lines[1:3]] == [True, True]


def reload_max_unavailable(desk: Desk) -> None:
    """An old worker leaves before the first new one is ready."""
    waits = "import os, time\nwhile os.path.exists('gate'): time.sleep(0.01)\nfrom contract import application\n"
    options = ("--workers", "2", "--reload-surge", "0", "--reload-max-unavailable", "1")
    server = desk.run(*options, app="waits:application", files={"waits.py": waits}, ready=2)
    (server.home / "gate").touch()
    server.send_signal(signal.SIGHUP)
    server.wait_log(r"worker exited slot=\d gen=1")
    (server.home / "gate").unlink()
    server.wait_log("reload complete")


def reload_canary(desk: Desk) -> None:
    server = desk.run("--reload-canary", "1", "--workers", "2", ready=2)
    server.send_signal(signal.SIGHUP)
    server.wait_log(r"canary serves slot=\d gen=2 pid=\d+ for_s=1")
    assert len(server.worker_pids()) == 3
    server.wait_log("canary passed gen=2 requests=0 ")
    server.wait_log("reload complete")


def max_requests(desk: Desk) -> None:
    server = desk.run("--max-requests", "2")
    first = server.get("/pid").text
    wait_until(lambda: server.get("/pid").text != first, "the worker is replaced")
    server.wait_log("reason=max_requests")


def max_requests_jitter(desk: Desk) -> None:
    server = desk.run("--max-requests", "1", "--max-requests-jitter", "1000000")
    assert len({server.get("/pid").text for _ in range(10)}) == 1
    assert "reason=max_requests" not in server.log()


def timeout(desk: Desk) -> None:
    server = desk.run("--timeout", "1")
    with server.client() as client, pytest.raises(Cut):
        client.get("/sleep/20000")


def graceful_timeout(desk: Desk) -> None:
    server = desk.run("--graceful-timeout", "1")
    running = InFlight(server, 20_000)
    assert server.stop(deadline_s=5) == 0
    running.thread.join(10)
    server.wait_log("worker did not finish in time")


def boot_timeout(desk: Desk) -> None:
    server = desk.run(
        "--boot-timeout", "1", app="hangs:application", files={"hangs.py": "import time; time.sleep(30)"}, ready=0
    )
    assert server.wait_exit(6) == 3
    server.wait_log("boot timeout")


def keepalive(desk: Desk) -> None:
    server = desk.run("--keep-alive", "1")
    with server.client(timeout_s=5) as client:
        assert client.get("/").status == 200
        assert client.at_end()


def asgi_lifespan(desk: Desk) -> None:
    text = "async def app(scope, receive, send):\n    assert scope['type'] == 'http'\n"
    server = desk.run("--asgi-lifespan", "on", app="without:app", files={"without.py": text}, ready=0)
    assert server.wait_exit() == 3
    assert "asgi_lifespan is on, and the application ended its lifespan at once: AssertionError" in server.log()


def chdir(desk: Desk) -> None:
    server = desk.run(
        "--chdir", "HOME/inner", app="there:where", files={"inner/there.py": "from answers import where\n"}
    )
    assert server.get("/").text == str(server.home / "inner")


def pythonpath(desk: Desk) -> None:
    desk.run("--pythonpath", "HOME/lib", app="far:where", files={"lib/far.py": "from answers import where\n"})


def secure_scheme_headers(desk: Desk) -> None:
    server = desk.run(config="secure_scheme_headers = {'X-ENCRYPTED': 'yes'}\n")
    assert environ_with(server, ("X-Encrypted", "yes"))["wsgi.url_scheme"] == "https"
    assert environ_with(server, ("X-Forwarded-Proto", "https"))["wsgi.url_scheme"] == "http"


def forwarded_allow_ips(desk: Desk) -> None:
    server = desk.run("--forwarded-allow-ips", "10.0.0.1")
    assert environ_with(server, ("X-Forwarded-Proto", "https"))["wsgi.url_scheme"] == "http"


def forwarder_headers(desk: Desk) -> None:
    server = desk.run("--forwarder-headers", "SCRIPT_NAME,REMOTE_USER")
    assert environ_with(server, ("Remote_User", "me"))["HTTP_REMOTE_USER"] == "me"


def header_map(desk: Desk) -> None:
    assert status_of(desk.run("--header-map", "refuse"), "/", [("Some_Field", "1")]) == 400
    assert environ_with(desk.run("--header-map", "dangerous"), ("Some_Field", "1"))["HTTP_SOME_FIELD"] == "1"


def request_buffering(desk: Desk) -> None:
    server = desk.run("--no-request-buffering")
    with server.client(timeout_s=5) as client:
        client.send(request_bytes("POST", "/read/3", [("Content-Length", "10")]) + b"abc")
        assert client.read_response().body == b"abc"


def limit_request_line(desk: Desk) -> None:
    assert status_of(desk.run("--limit-request-line", "60"), "/" + "a" * 60) == 414


def limit_request_fields(desk: Desk) -> None:
    server = desk.run("--limit-request-fields", "3")
    assert status_of(server, "/", [("A", "1"), ("B", "2")]) == 200
    assert status_of(server, "/", [("A", "1"), ("B", "2"), ("C", "3")]) == 431


def limit_request_field_size(desk: Desk) -> None:
    assert status_of(desk.run("--limit-request-field_size", "60"), "/", [("A", "b" * 60)]) == 431


def accesslog(desk: Desk) -> None:
    server = desk.run("--access-logfile", "HOME/access")
    assert server.get("/pid?seen").status == 200
    wait_until(lambda: "GET /pid?seen" in (server.home / "access").read_text(), "the request is logged")


def access_log_format(desk: Desk) -> None:
    server = desk.run("--access-logfile", "-", "--access-logformat", "<%(m)s|%(q)s>")
    assert server.get("/pid?seen").status == 200
    server.wait_log(r"(?m)^<GET\|seen>$")


def mask_query(desk: Desk) -> None:
    server = desk.run("--mask-query")
    with server.client() as client:
        client.send(request_bytes("GET", "/sleep/20000?token=1"))
        wait_until(lambda: server.notes("sleeping"), "it is served")
        kill(server.worker_pids()[0])
        server.wait_log(r'worker died .* request="GET /sleep/20000\?\*\*\*"')
    assert "token" not in server.log()


def errorlog(desk: Desk) -> None:
    server = desk.run("--error-logfile", "HOME/errors", ready=0)
    errors = server.home / "errors"
    wait_until(lambda: errors.exists() and "worker ready" in errors.read_text(), "the worker is ready")
    assert "worker ready" not in server.log()


def loglevel(desk: Desk) -> None:
    server = desk.run("--log-level", "error", transport="unix", ready=0)
    wait_until(lambda: answers(server), "the server listens")
    assert server.get("/raise-before").status == 500
    server.wait_log("raised before start_response")
    assert "worker ready" not in server.log()


def capture_output(desk: Desk) -> None:
    server = desk.run("--capture-output", "--error-logfile", "HOME/errors", ready=0)
    errors = server.home / "errors"
    wait_until(lambda: errors.exists() and "worker ready" in errors.read_text(), "the worker is ready")
    assert server.get("/print").status == 200
    wait_until(lambda: "printed by the application" in errors.read_text(), "the output is in the error log")
    assert "printed by the application" not in server.log()


def reload(desk: Desk) -> None:
    server = desk.run("--reload", app="live:where", files={"live.py": "from answers import where\n"})
    assert server.get("/").text != "MainThread"
    (server.home / "live.py").write_text("from answers import thread as where\n")
    wait_until(lambda: server.get("/").text == "MainThread", "the changed file serves")


def check_config(desk: Desk) -> None:
    server = desk.run("--check-config", ready=0)
    assert server.wait_exit() == 0
    assert "Listening" not in server.log()
    broken = desk.run("--check-config", app="answers:missing", ready=0)
    assert broken.wait_exit() == 1


def print_config(desk: Desk) -> None:
    server = desk.run("--print-config", "--timeout", "77", ready=0)
    assert server.wait_exit() == 0
    assert re.search(r"(?m)^timeout\s.*77", server.log())


CASES: dict[str, Callable[[Desk], None]] = {
    case.__name__: case
    for case in (
        config,
        wsgi_app,
        bind,
        backlog,
        workers,
        worker_class,
        threads,
        worker_connections,
        reload_surge,
        reload_max_unavailable,
        reload_canary,
        max_requests,
        max_requests_jitter,
        timeout,
        graceful_timeout,
        boot_timeout,
        keepalive,
        asgi_lifespan,
        chdir,
        pythonpath,
        secure_scheme_headers,
        forwarded_allow_ips,
        forwarder_headers,
        header_map,
        request_buffering,
        limit_request_line,
        limit_request_fields,
        limit_request_field_size,
        accesslog,
        access_log_format,
        mask_query,
        errorlog,
        loglevel,
        capture_output,
        reload,
        check_config,
        print_config,
    )
}


@pytest.mark.parametrize("name", CASES)
def test_setting_has_an_effect(name: str, make_server: Callable[..., Server]) -> None:
    CASES[name](Desk(make_server))


def test_no_case_is_left_of_a_setting_that_is_gone() -> None:
    assert CASES.keys() <= {setting.name for setting in TABLE if setting.acts}
