"""The master: one thread, no application, nothing on the disk; and the signals that reach a worker while it is born."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.processes import kill, marked
from tests.integration.waiting import wait_until

NOTES_IMPORT = """
import os
from contract import application, note
note("imported", str(os.getpid()))
"""

STARTS_THREAD = """
import threading, time
def when_ready(server):
    threading.Thread(target=time.sleep, args=(60,), daemon=True, name="metrics").start()
"""


def proc_status(pid: int, name: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    (found,) = re.findall(rf"(?m)^{name}:\s*(\S+)", text)
    return str(found)


def open_targets(pid: int) -> set[str]:
    """What the descriptors of a process point at."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(link))
        except OSError:
            continue
    return found


def test_master_has_one_thread_and_never_imports_the_application(serve: Callable[..., Server], kind: str) -> None:
    server = serve("noting:application", kind=kind, files={"noting.py": NOTES_IMPORT})
    for _ in range(2):
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload complete", since)
        assert proc_status(server.master, "Threads") == "1"
    imported = [int(pid) for pid in server.notes("imported")]
    assert len(imported) == 6, "two workers of three generations"
    assert server.master not in imported


def test_thread_that_a_hook_started_in_the_master_is_warned_of(serve: Callable[..., Server]) -> None:
    server = serve(config=STARTS_THREAD)
    server.wait_log("threads run in the master.*metrics")
    assert len(re.findall("threads run in the master", server.log())) == 1


def test_workers_serve_with_no_signal_blocked(serve: Callable[..., Server], kind: str) -> None:
    """Blocked across the fork (failures R8), and let in again."""
    server = serve(kind=kind)
    for pid in (server.master, *server.worker_pids()):
        # The C library blocks all of them for a moment while it starts a thread.
        wait_until(lambda pid=pid: int(proc_status(pid, "SigBlk"), 16) == 0, "no signal is blocked")  # type: ignore[misc]


def test_signals_to_every_process_kill_no_worker_while_it_is_born(serve: Callable[..., Server], kind: str) -> None:
    """`pkill -HUP` while workers are forked: none runs the default action before it has its own handlers."""
    server = serve(kind=kind)
    storm = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
    with Load(server.address, clients=4) as load:
        for _ in range(15):
            since = server.log_end()
            server.send_signal(signal.SIGHUP)
            while not re.search("worker ready", server.log(since)):
                for pid in marked(server.mark_text):
                    for number in storm if pid != server.master else ():
                        kill(pid, number)
        server.wait_log("reload complete", since)
        load.wait_for(20)
    load.tally.assert_nothing_failed()
    assert "worker died" not in server.log()
    assert "reload failed" not in server.log()


def test_heart_beats_without_a_file(make_server: Callable[..., Server], kind: str) -> None:
    """With no directory for temporary files at all, workers beat, serve, and are not held silent."""
    server = make_server()
    nowhere = {name: str(server.home / "nowhere") for name in ("TMPDIR", "TEMP", "TMP")}
    config = server.home / "no_tmp.py"
    config.write_text("import tempfile\ntempfile.tempdir = '/nonexistent'\n")
    server.start("contract:application", kind=kind, options=["--timeout", "1", "--config", str(config)], env=nowhere)
    before = server.wait_ready()
    with server.client() as client:
        for _ in range(3):
            assert client.get("/sleep/700").status == 200
    assert sorted(before) == server.worker_pids()
    assert "worker timeout" not in server.log()
    for pid in (server.master, *before):
        files = {target for target in open_targets(pid) if target.startswith("/")}
        extra = {t for t in files - {str(server.log_path)} if not t.startswith(("/dev/null", "/dev/zero"))}
        assert not extra, f"process {pid} holds {extra}"


def test_killed_master_leaves_closed_doors_and_finished_requests(serve: Callable[..., Server], kind: str) -> None:
    """The listeners close at once, while a request that can finish soon is finished."""
    server = serve(kind=kind)
    client = server.client()
    client.send(b"GET /sleep/600 HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: server.notes("sleeping"), "the application sleeps")
    kill(server.master, signal.SIGKILL)
    server.wait_exit()

    def refused() -> bool:
        try:
            server.client().close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it was in the queue when the listener closed
        return False

    wait_until(refused, "the listeners are closed", 0.5)
    assert client.read_response().body == b"slept 600"
    wait_until(lambda: not marked(server.mark_text), "all workers are gone", 1.0)
