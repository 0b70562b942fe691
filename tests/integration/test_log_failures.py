"""Logs that nobody takes: pipes and sockets that are not read, daemons that are dead. Requests go on, losses are told.

The full disk is in test_logs.py.
"""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.integration.harness import APPS, Server, free_port
from tests.integration.load import Load, Tally
from tests.integration.outlets import PipeOutlet, SocketOutlet, TcpDaemon, lines_lost
from tests.integration.waiting import wait_until

STALL_S = 5.0
"""A request takes a millisecond; on a busy machine many. One that waits for a log waits until its client gives up."""

LONG_LINES = ["--access-logformat", "%(r)s " + "x" * 2000]

Outlet = PipeOutlet | SocketOutlet


@pytest.fixture
def opened() -> Iterator[Callable[[Outlet], Outlet]]:
    """opened(outlet): closed at the end of the test, after its servers."""
    outlets: list[Outlet] = []

    def remember(outlet: Outlet) -> Outlet:
        outlets.append(outlet)
        return outlet

    yield remember
    for outlet in outlets:
        outlet.close()


def ask(server: Server, requests: int, target: str = "/", status: int = 200) -> Tally:
    """As many requests by four clients. All are answered, none has waited long."""
    with Load(
        server.address, 4, target, pause_s=0, requests=requests // 4, accept=lambda answer: answer.status == status
    ) as load:
        load.wait_done()
    load.tally.assert_nothing_failed()
    assert load.tally.ok == requests
    assert max(sample.took_s for sample in load.tally.samples) < STALL_S
    return load.tally


def wait_answers(server: Server) -> None:
    """For servers whose log is no place to look."""

    def answers() -> bool:
        assert not server.exited
        try:
            return server.get("/").status == 200
        except OSError:
            return False

    wait_until(answers, "the server answers", 20)


@pytest.mark.parametrize(
    ("kind", "make_outlet"), [("sync", PipeOutlet), ("gthread", PipeOutlet), ("gthread", SocketOutlet)]
)
def test_access_log_that_nobody_reads_holds_up_no_request(
    make_server: Callable[..., Server],
    opened: Callable[[Outlet], Outlet],
    kind: str,
    make_outlet: type[Outlet],
) -> None:
    server = make_server()
    stdout = opened(make_outlet(server.home))
    options = ["--access-logfile", "-", *LONG_LINES]
    server.start("contract:application", kind=kind, options=options, prefix=stdout.prefix(1))
    server.wait_ready()
    asked = ask(server, 2400).ok
    server.wait_log(r"log lines dropped .*its reader does not keep up")

    def accounted_for() -> bool:
        text = stdout.text()
        return text.count("GET / HTTP/1.1 ") + lines_lost(text) == asked

    wait_until(accounted_for, "every request is in the log or among those that it says are missing", 20)
    assert lines_lost(stdout.text()) > 0
    assert server.get("/?again").status == 200
    wait_until(lambda: "GET /?again" in stdout.text(), "the log goes on")


def test_error_log_that_nobody_reads_holds_up_neither_requests_nor_signals(
    make_server: Callable[..., Server], opened: Callable[[Outlet], Outlet]
) -> None:
    server = make_server()
    stderr = opened(PipeOutlet(server.home))
    options = ["--log-level", "debug"]
    server.start("contract:application", kind="sync", workers=1, options=options, prefix=stderr.prefix(2))
    wait_answers(server)
    ask(server, 2000, "/raise-before", 500)
    server.send_signal(signal.SIGTTIN)
    wait_until(lambda: len(server.worker_pids()) == 2, "the master has heard the signal", 20)
    assert server.get("/").status == 200
    # Those that lost lines say so when there is room: in the log itself, as it is the console.
    wait_until(lambda: lines_lost(stderr.text()) > 0, "the log says how many lines are missing", 20)
    wait_until(lambda: stderr.text().count("worker ready") == 2, "what the master had to say was kept", 20)


def test_server_whose_logs_nobody_reads_stops_in_time(
    make_server: Callable[..., Server], opened: Callable[[Outlet], Outlet]
) -> None:
    server = make_server()
    stdout, stderr = opened(PipeOutlet(server.home, "out")), opened(PipeOutlet(server.home, "err"))
    server.start(
        "contract:application",
        kind="gthread",
        options=["--access-logfile", "-", *LONG_LINES, "--log-level", "debug"],
        prefix=[*stdout.prefix(1), *stderr.prefix(2)],
    )
    wait_answers(server)
    ask(server, 200)
    assert server.stop(deadline_s=10) == 0


def test_fifo_without_a_reader_holds_up_neither_the_start_nor_requests(
    make_server: Callable[..., Server]
) -> None:
    server = make_server()
    access, error = server.home / "access", server.home / "error"
    for path in (access, error):
        os.mkfifo(path)
    options = ["--access-logfile", str(access), "--error-logfile", str(error)]
    server.start("contract:application", kind="gthread", options=options)
    wait_answers(server)
    ask(server, 2000, "/?asked")
    with access.open("rb", buffering=0) as reader, error.open("rb", buffering=0) as error_reader:
        found = {access: b"", error: b""}

        def read() -> bool:
            for path, file in ((access, reader), (error, error_reader)):
                os.set_blocking(file.fileno(), False)
                found[path] += file.read() or b""
            return found[access].count(b"GET /?asked ") == 2000 and b"worker ready" in found[error]

        wait_until(read, "the reader that comes late gets every line")


def test_dead_syslog_over_tcp_costs_messages_that_are_counted_and_no_request(
    serve: Callable[..., Server]
) -> None:
    port = free_port()
    options = ["--log-syslog", "--log-syslog-to", f"tcp://127.0.0.1:{port}", *LONG_LINES]
    server = serve(kind="gthread", workers=1, options=options)
    asked = ask(server, 400).ok
    server.wait_log(r"syslog messages lost to=tcp://127\.0\.0\.1:\d+ messages=\d+")
    with closing(TcpDaemon(port)) as daemon:
        # The daemon reads while we wait, and no request is needed for the line to be open again.
        (again,) = wait_for_log(server, daemon, r"syslog messages lost, the way is open again .*messages=(\d+)")
        lost = sum(int(number) for number in re.findall(r"syslog messages lost.*? messages=(\d+)", server.log()))
        wait_until(lambda: daemon.text().count("GET / HTTP/1.1 ") + lost == asked, f"the others come: {again[0]}")
        assert lost > 0
        assert server.get("/?again").status == 200
        wait_until(lambda: "GET /?again" in daemon.text(), "the log goes on")


def wait_for_log(server: Server, daemon: TcpDaemon, pattern: str) -> list[re.Match[str]]:
    def found() -> list[re.Match[str]]:
        daemon.text()
        return list(re.finditer(pattern, server.log()))

    return wait_until(found, f"the log has {pattern!r}", 20)


NAME_SERVER = """
import os, socket, time

really = socket.getaddrinfo

def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    # "answer" in the directory of the server: absent, there is none yet; empty, there is no such host.
    if host not in (b"metrics.test", "metrics.test") or flags & socket.AI_NUMERICHOST:
        return really(host, port, family, type, proto, flags)
    path = os.path.join(os.environ["CONTRACT_DIR"], "answer")
    while not os.path.exists(path):
        time.sleep(0.01)
    with open(path) as file:
        answer = file.read()
    if not answer:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return really(answer, port, family, type, proto, flags)

socket.getaddrinfo = getaddrinfo
"""


def answer(server: Server, text: str) -> None:
    """What the name server says from now on."""
    (server.home / "answer.new").write_text(text)
    (server.home / "answer.new").rename(server.home / "answer")


def test_name_server_that_is_silent_or_knows_no_statsd_host_costs_metrics_and_no_request(
    make_server: Callable[..., Server]
) -> None:
    server = make_server()
    (server.home / "sitecustomize.py").write_text(NAME_SERVER)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.setblocking(False)
        server.start(
            "contract:application",
            kind="sync",
            options=["--statsd-host", f"metrics.test:{daemon.getsockname()[1]}"],
            env={"PYTHONPATH": f"{server.home}:{APPS}"},
        )
        server.wait_ready()
        ask(server, 400)
        since = server.log_end()
        server.send_signal(signal.SIGTTIN)
        server.wait_ready(1, since)
        answer(server, "")
        server.wait_log(r'metrics lost to=udp://metrics\.test:\d+ messages=\d+ error="cannot look up metrics\.test: ')
        ask(server, 40)
        answer(server, "127.0.0.1")
        wait_until(lambda: arrives(server, daemon), "metrics arrive when the name is known", 30)


def arrives(server: Server, daemon: socket.socket) -> bool:
    assert server.get("/").status == 200
    found = b""
    try:
        while True:
            found += daemon.recv(65536)
    except BlockingIOError:
        return b"gunicorn.requests:1|c" in found
