"""Row W12: what a worker has started ends with it when the master has to kill it, and only then."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.integration.harness import Server
from tests.integration.processes import alive, kill
from tests.integration.waiting import wait_until

# Two processes below the worker, and a daemon that is below nobody. Their pids are told as soon as they are there.
FAMILY = """
import subprocess
subprocess.run(["sh", "-c", "setsid sh -c 'sleep 1000 & echo daemon $!' & wait; sleep 1000 & echo sleep $!; "
                            "echo shell $$; wait"], stdout=open({note!r}, "a"))
"""
# One process that the worker starts and leaves to itself.
LEFT = "import subprocess; result = subprocess.Popen(['sleep', '1000']).pid"


def post(server: Server, code: str) -> None:
    """Without waiting for the answer, which never comes."""
    body = code.encode()
    server.client().send(b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def family_of(server: Server) -> dict[str, int]:
    note = Path(server.home, "family")

    def told() -> list[str]:
        words = note.read_text().split() if note.exists() else []
        return words if len(words) == 6 else []

    words = wait_until(told, "the family is complete")
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def hang(server: Server) -> dict[str, int]:
    post(server, FAMILY.format(note=str(server.home / "family")))
    return family_of(server)


def test_a_hung_worker_takes_with_it_what_it_waits_for(serve: Callable[..., Server]) -> None:
    server = serve("abuse:application", workers=1, options=["--timeout", "1", "--graceful-timeout", "1"])
    family = hang(server)
    try:
        (line,) = server.wait_log(r"what a killed worker had started was killed with it pid=(\d+) children=(\S+)")
        assert {int(pid) for pid in line[2].split(",")} == {family["sleep"], family["shell"]}
        wait_until(lambda: not alive(family["sleep"]) and not alive(family["shell"]), "both are gone")
        assert alive(family["daemon"]), "a daemon is nobody's child"
        server.wait_ready(2)

        # A worker that leaves in order leaves its children to themselves, as Gunicorn's does.
        with server.client() as client:
            left = int(client.request("POST", "/run", body=LEFT.encode()).text)
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload complete", since)
        server.wait_log("worker exited", since)
        assert alive(left)
        kill(left)
    finally:
        for pid in family.values():
            kill(pid)


def test_the_graceful_timeout_is_hard_too_and_the_setting_turns_it_off(serve: Callable[..., Server]) -> None:
    server = serve("abuse:application", workers=1, options=["--graceful-timeout", "0", "--no-kill-worker-children"])
    family = hang(server)
    try:
        os.kill(server.master, signal.SIGTERM)
        assert server.wait_exit() == 0
        assert "was killed with it" not in server.log()
        assert alive(family["sleep"])
        assert alive(family["shell"])
    finally:
        for pid in family.values():
            kill(pid)
    server.assert_nothing_left()
