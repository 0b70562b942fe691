"""Ten broken applications (examples/broken): the log and `ostler status` name cause, place and cure of each.

As an operator at 3 a.m.: nothing but the server's log and the command's output is read. One line of each has to have
all three, and the pages show such a line.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from signal import SIGHUP

import pytest

from examples.broken.cases import CASES, Case
from tests.integration.client import Address, Client, Cut, Response
from tests.integration.harness import Server
from tests.integration.proxy import Nginx
from tests.integration.waiting import wait_until
from tests.pages import assert_shown

QUICKLY = ["--graceful-timeout", "1"]
BY_NAME = {case.name: case for case in CASES}


class Ward:
    """One broken application that is served."""

    def __init__(self, server: Server, case: Case) -> None:
        self.server = server
        self.case = case
        for path in (case.application, case.configuration):
            shutil.copy(path, server.home)
        prefix = ["bash", "-c", f'ulimit {case.limit}; exec "$@"', "limited"] if case.limit else []
        command = [sys.executable, "-m", "ostler", "--config", case.configuration.name]
        command += ["--bind", "{}:{}".format(*server.address), *QUICKLY, *case.flags, *case.ours, f"{case.name}:app"]
        server.launch([*prefix, *command], {"TMPDIR": str(server.home)}, server.home)
        server.wait_ready(1)

    def break_it(self, address: Address | None = None) -> None:
        """Ask for what it breaks at, as often as the case says; whatever the answers are."""
        with ThreadPoolExecutor(4) as pool:
            for number in range(self.case.times):
                if self.explanation():
                    break
                targets = [target.format(number) for target in self.case.asks]
                list(pool.map(lambda target: ask(address or self.server.address, target), targets))
                time.sleep(self.case.pause_s)  # the pace of the clients

    def reload(self) -> None:
        config = self.server.home / self.case.configuration.name
        config.write_text(config.read_text().replace(*self.case.reload))
        self.server.send_signal(SIGHUP)

    def explanation(self, text: str | None = None) -> str:
        """The line of the log (or of the text) with cause, place and cure; empty while there is none."""
        words = (self.case.place, re.compile(self.case.cause), re.compile(self.case.cure))
        lines = (self.server.log() if text is None else text).splitlines()
        return next((line for line in lines if all(each.search(line) for each in words)), "")

    def wait_explained(self) -> None:
        """By the log, and by the command."""
        case = self.case
        what = f"a line names {case.name}.py:{case.line}, {case.cause} and {case.cure}"
        wait_until(self.explanation, what)
        wait_until(lambda: self.explanation(self.status()), f"of ostler status, {what}", 5.0)
        assert_shown(case.name, self.explanation())

    def status(self) -> str:
        """What the operator's command prints."""
        command = [sys.executable, "-m", "ostler", "status", str(self.server.master)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        return done.stdout + done.stderr

    def serves(self) -> bool:
        response = ask(self.server.address, "/")
        return response is not None and response.status == 200


def ask(address: Address, target: str) -> Response | None:
    """None: cut off, or no answer within two seconds."""
    try:
        with Client(address, 2.0) as client:
            return client.request("GET", target, [("Connection", "close")])
    except (OSError, Cut):
        return None


@pytest.fixture
def ward(make_server: Callable[..., Server]) -> Callable[[str], Ward]:
    return lambda name: Ward(make_server(), BY_NAME[name])


@pytest.mark.parametrize("name", [case.name for case in CASES if not case.nginx and not case.reload[0]])
def test_log_names_cause_place_and_cure(ward: Callable[[str], Ward], name: str) -> None:
    patient = ward(name)
    patient.break_it()
    patient.wait_explained()
    wait_until(patient.serves, "the service goes on", 5.0)


def test_log_names_the_import_that_a_reload_cannot_make(ward: Callable[[str], Ward]) -> None:
    patient = ward("import_error")
    patient.reload()
    patient.wait_explained()
    assert "degraded" in patient.status()
    assert patient.serves()


def test_log_names_why_nginx_answers_502(ward: Callable[[str], Ward], nginx: Callable[[Address], Nginx]) -> None:
    patient = ward("large_cookie")
    proxy = nginx(patient.server.address)
    patient.break_it(proxy.address)
    patient.wait_explained()
    response = ask(proxy.address, patient.case.asks[0])
    assert response is not None
    assert response.status == 502
    response = ask(patient.server.address, patient.case.asks[0])
    assert response is not None
    assert response.status == 200
