"""Access and error logs: to files, reopened on USR1, and on a full disk."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

from tests.integration.harness import Server
from tests.integration.waiting import wait_until


def open_files(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return found


def test_usr1_reopens_both_logs_in_every_process(make_server: Callable[..., Server], kind: str) -> None:
    server = make_server()
    access, error = server.home / "access.log", server.home / "error.log"
    logs = ["--access-logfile", str(access), "--error-logfile", str(error)]
    server.start("contract:application", kind=kind, options=logs)
    wait_until(lambda: error.exists() and len(re.findall("worker ready", error.read_text())) == 2, "workers are ready")
    assert server.get("/?before").status == 200
    wait_until(lambda: "before" in access.read_text(), "the request is logged")
    access.rename(server.home / "access.log.1")
    error.rename(server.home / "error.log.1")
    server.send_signal(signal.SIGUSR1)
    processes = [server.master, *server.worker_pids()]
    wait_until(lambda: all(str(error) in open_files(pid) for pid in processes), "all have opened the new error log")
    wait_until(lambda: all(str(access) in open_files(pid) for pid in processes[1:]), "the workers the access log")
    for _ in range(6):
        assert server.get("/?after").status == 200
    wait_until(lambda: access.read_text().count("after") == 6, "requests are in the new log")
    assert "after" not in (server.home / "access.log.1").read_text()
    assert server.stop() == 0
    assert error.read_text() != ""


def test_access_log_has_one_line_for_each_request(serve: Callable[..., Server], kind: str) -> None:
    form = '%(h)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(p)s %(D)s %({x-test}i)s %({content-type}o)s'
    server = serve(kind=kind, workers=1, options=["--access-logfile", "-", "--access-logformat", form])
    since = server.log_end()
    with server.client() as client:
        client.get("/bytes/17?q=1", [("User-Agent", 'a "quoted" agent'), ("X-Test", "yes")])
        client.get("/no-such-path", [("Referer", "http://example.org/")])
    (pid,) = server.worker_pids()
    lines = server.wait_log(r'(?m)^127\.0\.0\.1 ".*$', since, count=2)
    first, second = (line[0] for line in lines)
    quoted = re.escape('a \\"quoted\\" agent')
    assert re.fullmatch(
        rf'127\.0\.0\.1 "GET /bytes/17\?q=1 HTTP/1\.1" 200 17 "-" "{quoted}" <?{pid}>? \d+ yes text/plain.*', first
    )
    assert re.match(r'127\.0\.0\.1 "GET /no-such-path HTTP/1\.1" 404 \S+ "http://example.org/" "-"', second)


ATOMS = {
    "h": r"127\.0\.0\.1",
    "l": "-",
    "u": "somebody",
    "t": r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]",
    "r": r"GET /sleep/30\?a=1&b HTTP/1\.1",
    "m": "GET",
    "U": "/sleep/30",
    "q": "a=1&b",
    "H": r"HTTP/1\.1",
    "s": "200",
    "B": "8",
    "b": "8",
    "f": "http://example\\.org/",
    "a": "agent/1",
    "T": "[01]",
    "D": r"[3-9]\d{4}|\d{6}",
    "M": r"[3-9]\d|\d{3}",
    "L": r"[01]\.\d{6}",
    "p": "<PID>",
    "{X-Test}i": "yes",
    "{missing}i": "-",
    "{Content-Length}o": "8",
    "{missing}o": "-",
    "{REQUEST_METHOD}e": "GET",
    "{wsgi.url_scheme}e": "http",
    "{missing}e": "-",
}


def test_each_atom_of_the_access_log_says_what_was_served(serve: Callable[..., Server], kind: str) -> None:
    form = "atoms" + "".join(f" |%({atom})s|" for atom in ATOMS)
    server = serve(kind=kind, workers=1, options=["--access-logfile", "-", "--access-logformat", form])
    fields = [
        ("Authorization", "Basic c29tZWJvZHk6c2VjcmV0"),
        ("Referer", "http://example.org/"),
        ("User-Agent", "agent/1"),
        ("X-Test", "yes"),
    ]
    with server.client() as client:
        assert client.get("/sleep/30?a=1&b", fields).status == 200
    (match, *_) = server.wait_log(r"(?m)^atoms .*$")
    found = re.findall(r"\|([^|]*)\|", match[0])
    (pid,) = server.worker_pids()
    for (atom, expected), value in zip(ATOMS.items(), found, strict=True):
        assert re.fullmatch(expected.replace("PID", str(pid)), value), f"%({atom})s is {value!r}"


def test_full_disk_under_the_access_log_costs_no_request(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, options=["--access-logfile", "/dev/full"])
    since = server.log_end()
    with server.client() as client:
        for _ in range(30):
            assert client.get("/").status == 200
    server.wait_log("(?i)no space left", since)
    assert len(re.findall("(?i)no space left", server.log(since))) <= 2, "more than one line a minute and process"


def test_full_disk_under_the_error_log_costs_no_request(make_server: Callable[..., Server], kind: str) -> None:
    server = make_server()
    server.start("contract:application", kind=kind, options=["--error-logfile", "/dev/full"])

    def answers() -> bool:
        assert not server.exited
        try:
            return server.get("/").status == 200
        except OSError:
            return False

    wait_until(answers, "the server answers")
    assert server.get("/raise-before").status == 500
    assert server.get("/").status == 200
    assert server.stop() == 0


def test_output_of_the_application_goes_to_the_error_log_when_captured(
    make_server: Callable[..., Server], kind: str
) -> None:
    server = make_server()
    error = server.home / "error.log"
    options = ["--capture-output", "--error-logfile", str(error)]
    server.start("contract:application", kind=kind, workers=1, options=options)
    wait_until(lambda: error.exists() and "worker ready" in error.read_text(), "the worker is ready")
    assert server.get("/print").status == 200
    for line in ("printed by the application", "written to wsgi.errors"):
        wait_until(lambda line=line: line in error.read_text(), f"the error log has {line!r}")  # type: ignore[misc]


ROOT_ONLY = """
logconfig_dict = {
    "version": 1,
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": "HOME/root.log"},
        "console": {"class": "logging.NullHandler"},
        "error_console": {"class": "logging.NullHandler"},
    },
    "root": {"level": "INFO", "handlers": ["file"]},
}
"""


def test_logging_configuration_decides_levels_and_propagation(make_server: Callable[..., Server]) -> None:
    """Gunicorn's defaults propagate to the root, and that is where many configurations have their handlers."""
    server = make_server()
    config = server.home / "gunicorn.conf.py"
    config.write_text(ROOT_ONLY.replace("HOME", str(server.home)))
    server.launch_config(config, "sync")
    log = server.home / "root.log"
    wait_until(lambda: log.exists() and "worker ready" in log.read_text(), "the root's file has the life of the server")
    assert server.get("/").status == 200
    wait_until(lambda: "GET / HTTP/1.1" in log.read_text(), "and its access log")
    assert server.stop() == 0


def test_a_reload_that_fails_leaves_the_pid_file_where_it_was(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, app="shop:application", files={"shop.py": GOOD}, config="pidfile = 'HOME_a.pid'\n")
    first = server.home / "HOME_a.pid"
    assert int(first.read_text()) == server.master
    (server.home / "shop.py").write_text("raise RuntimeError('broken')\n")
    (server.home / "ostler.conf.py").write_text("pidfile = 'HOME_b.pid'\n")
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("generation 1 keeps serving", since)
    assert int(first.read_text()) == server.master
    assert not (server.home / "HOME_b.pid").exists()


GOOD = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'ok']\n"
