"""Applications that close our descriptors, fork and come back, leak, or end their process: one line says what to do,
and the next request is served. In each kind whose threads or loops differ: tornado is as asgi here, eventlet as gevent.
"""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.integration.abuse import Abused
from tests.integration.processes import alive, cpu_seconds, kill, open_targets
from tests.integration.waiting import wait_until

TAKEN = "the application closed or replaced descriptors of the server, this worker leaves"
KINDS = ("sync", "gthread", "asgi", "gevent")
FORKED = "a process that the application forked came back into the server, and was ended"


def kinds(*names: str) -> pytest.MarkDecorator:
    """Of those the test has `server`, of which all tests of this file share one for each kind."""
    return pytest.mark.parametrize("server", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Abused]:
    server = Abused()
    try:
        log = str(server.home / "error.log")
        server.error_log = server.home / "error.log"
        options = ["--access-logfile", str(server.home / "access.log"), "--error-logfile", log]
        server.begin(request.param, options=options, ready=False)
        wait_until(lambda: "worker ready" in error_log(server), "the worker is ready", 20)
        yield server
        assert server.stop() == 0
        assert "defect" not in error_log(server), error_log(server)
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


def error_log(server: Abused, since: int = 0) -> str:
    return server.error_log.read_text()[since:] if server.error_log.exists() else ""


def wait_line(server: Abused, pattern: str, since: int = 0) -> re.Match[str]:
    def found() -> list[re.Match[str]]:
        match = re.search(pattern, error_log(server, since))
        return [] if match is None else [match]

    return wait_until(found, f"the log has {pattern!r}")[0]


@kinds(*KINDS)
def test_a_worker_whose_descriptors_are_closed_says_so_and_is_replaced(server: Abused) -> None:
    before, since = server.pid(), len(error_log(server))
    server.kill_by("""
import os
os.closerange(3, 1000)
for name in range(40):  # and others get the numbers
    KEPT.append(open(f"theirs.{name}", "wb"))
""")
    assert server.pid() != before
    line = wait_line(server, TAKEN + r" pid=\d+ lost=\"(.*?)\" request=\"POST /run\" cause=\"(.*?)\" cure=", since)
    for lost in ("channel to the master", "listener", "event loop"):
        assert lost in line[1]
    assert line[2] == "the application closed descriptors of the server"
    assert [path.name for path in server.home.glob("theirs.*") if path.stat().st_size] == []
    wait_line(server, r"worker died .*exit status 71, the application closed descriptors of the server", since)


@kinds("sync", "asgi", "gevent")
def test_a_listener_that_is_closed_once_too_often_costs_one_worker(server: Abused) -> None:
    before, since = server.pid(), len(error_log(server))
    server.run("""
import os, socket
for fd in range(3, 1024):
    try:
        copy = socket.socket(fileno=os.dup(fd))
    except OSError:
        continue
    with copy:
        if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            os.close(fd)
            break
""")
    wait_line(server, re.escape(TAKEN) + r" pid=\d+ lost=\"listener http", since)
    wait_until(lambda: server.worker_pids() not in ([], [before]), "there is another worker")
    worker = server.pid()
    assert cpu_seconds(worker) < 5


@kinds("gthread", "asgi")
def test_logs_go_on_under_another_number(server: Abused) -> None:
    before, since = server.pid(), len(error_log(server))
    server.run("""
import os
for fd in range(3, 1024):
    try:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".log"):
            os.close(fd)
            KEPT.append(open("theirs.log.txt", "wb"))
    except OSError:
        pass
""")
    wait_line(server, r"descriptors of the server, the logs go on pid=\d+ lost=\".*error\.log", since)
    assert server.get("/after").status == 200
    wait_until(lambda: "GET /after" in (server.home / "access.log").read_text(), "the access log goes on")
    assert server.pid() == before
    assert not (server.home / "theirs.log.txt").stat().st_size


@kinds(*KINDS)
def test_a_forked_child_that_comes_back_answers_nobody(server: Abused) -> None:
    before, since = server.pid(), len(error_log(server))
    for _ in range(3):
        response = server.run("import os\nresult = 'child' if os.fork() == 0 else 'parent'")
        assert (response.status, response.body) == (200, b"parent")
    assert {server.pid() for _ in range(8)} == {before}
    if server.kind != "gevent":  # there the child goes on, and what it says goes nowhere
        wait_line(server, FORKED + r" pid=\d+ worker=\d+ cause=.* cure=\"after os\.fork\(\) leave", since)
        assert error_log(server, since).count(FORKED) == 1


@kinds(*KINDS)
def test_a_child_that_stays_keeps_neither_the_port_nor_a_client(server: Abused) -> None:
    response = server.run("""
import os, time
child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
result = child
""")
    child = int(response.body)
    try:
        assert alive(child)

        def holds_ours() -> bool:
            held, ours = open_targets(child), open_targets(server.master)
            return any(each.startswith("socket:") for each in set(held) & set(ours))

        wait_until(lambda: not holds_ours(), "the child has let go of the listener")
        kill(server.pid())  # and is no obstacle to its parent's death
        assert server.pid()
    finally:
        kill(child)


@kinds(*KINDS)
def test_what_an_application_runs_out_of_is_named(server: Abused) -> None:
    since = len(error_log(server))
    code = """
import resource
before = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
files = []
try:
    while True:
        files.append(open("/etc/hostname"))
finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
"""
    assert server.run(code).status == 500
    line = wait_line(server, r"most=\"(.*?)\" cause=\"too many open files\" cure=", since)
    assert "/etc/hostname" in line[1]
    assert server.run('raise RuntimeError("can\'t start new thread")').status == 500
    wait_line(server, r" threads=\d+ .*cause=\"too many threads\" cure=", since)
    assert server.run("bytearray(1 << 50)").status == 500
    wait_line(server, r" cause=\"out of memory\" cure=", since)
    assert server.run("open('/dev/full', 'w', buffering=1).write('x\\n')").status == 500
    wait_line(server, r" cause=\"no space left on a disk\" cure=", since)


@kinds("gthread")
def test_many_threads_are_told_with_the_place_that_starts_them(server: Abused) -> None:
    since = len(error_log(server))
    code = """
import threading
KEPT.append(threading.Event())
def bomb(gate=KEPT[-1]): gate.wait()
for _ in range(COUNT): threading.Thread(target=bomb, daemon=True).start()
"""
    server.run(code.replace("COUNT", "501"))
    wait_line(server, r"runs many threads threads=501 most=\"501 shop/abuse\.py:4 in bomb\" cause=", since)
    server.run("for gate in KEPT:\n    getattr(gate, 'set', gate.__hash__)()")
    assert server.pid()


MISUSES = {
    "streams": "import sys; sys.stdout.close(); sys.stderr.close()",
    "signals": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "ignored": "import signal\nfor each in (15, 3): signal.signal(each, signal.SIG_IGN)",
    "surroundings": "import os; os.chdir('/'); os.umask(0o777); os.environ.clear(); os.nice(5)",
    "logging": "import logging; logging.disable(); logging.shutdown(); logging.root.handlers = []",
    "handler": """
import logging
class Broken(logging.Handler):
    def emit(self, record): raise ZeroDivisionError
logging.getLogger("gunicorn.error").addHandler(Broken())
""",
    "hooks": """
import gc, sys, threading, warnings
def broken(*arguments): raise RuntimeError
sys.excepthook = sys.unraisablehook = threading.excepthook = broken
gc.disable(); warnings.simplefilter("error"); sys.setswitchinterval(5)
""",
    "sockets": "import socket; socket.setdefaulttimeout(0.001)",
}


@kinds(*KINDS)
def test_a_process_that_is_misused_serves_on_and_can_be_replaced(server: Abused) -> None:
    for code in MISUSES.values():
        server.run(code)
    before = server.pid()
    assert server.run("1 / 0").status == 500
    assert server.pid() == before
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: server.worker_pids() and before not in server.worker_pids(), "the worker is replaced", 20)
    assert server.pid() != before
