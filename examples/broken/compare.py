"""The broken applications under Ostler and under Gunicorn: what the two logs say, side by side.

    python -m examples.broken.compare [NAME ...] [Ostler | Gunicorn]      (from the root of the repository)

The same rules for both: the log is what the server writes to stderr and stdout at the level `info`. Cause, place and
cure are named when one line of it, or one traceback, matches the expressions of cases.py. Meanwhile a bystander asks
for "/" ten times a second, and gives up after a second: how many of these fail is "others". "Goes on": three of three
requests for "/" are answered at the end. "Asked": what became of the requests that the application breaks at.
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from examples.broken.cases import CASES, Case
from tests.integration.harness import free_port
from tests.integration.proxy import Nginx

SERVERS = {"Ostler": "ostler", "Gunicorn": "gunicorn"}
GIVE_UP_S = 8.0
EXCERPT = 5
LOUD = re.compile(r"\[(WARNING|ERROR|CRITICAL)\]")
NOISE = re.compile(r"starting|[Ll]istening|booting|worker ready|Using worker|Booting|exited|handling signal|stopping")


class Run:
    """One application under one server."""

    def __init__(self, case: Case, program: str) -> None:
        self.case = case
        self.home = Path(tempfile.mkdtemp(prefix=f"broken-{program}-"))
        self.port = free_port()
        for path in (case.application, case.configuration):
            shutil.copy(path, self.home)
        self.log_path = self.home / "log"
        options = [*case.flags, *(case.ours if program == "ostler" else ())]
        command = [sys.executable, "-m", program, "-c", case.configuration.name, "--bind", f"127.0.0.1:{self.port}"]
        command += ["--graceful-timeout", "1", *options, f"{case.name}:app"]
        limit = f"ulimit {case.limit}; " if case.limit else ""
        with self.log_path.open("wb") as log:
            shell = ["bash", "-c", f'{limit}exec "$@"', "sh", *command]
            environment = os.environ | {"TMPDIR": str(self.home)}
            self.process = subprocess.Popen(
                shell, cwd=self.home, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.asked: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.over = threading.Event()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def play(self) -> None:
        """From the start to the stop."""
        try:
            self._await()
            bystander = threading.Thread(target=self._stand_by)
            bystander.start()
            self._break()
            time.sleep(2.5)  # for what the server does once in a second
            self.over.set()
            bystander.join()
            self.goes_on = [ask(self.port, "/", 3) for _ in range(3)].count("200") == 3
        finally:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _await(self) -> None:
        end = time.monotonic() + 10
        while ask(self.port, "/", 1) != "200":
            if time.monotonic() > end:
                raise SystemExit(f"{self.case.name} does not start:\n{self.log}")
            time.sleep(0.05)

    def _break(self) -> None:
        before, after = self.case.reload
        if before:
            path = self.home / self.case.configuration.name
            path.write_text(path.read_text().replace(before, after))
            self.process.send_signal(signal.SIGHUP)
            time.sleep(2)
        proxy = Nginx(("127.0.0.1", self.port)) if self.case.nginx else None
        port = proxy.address[1] if proxy else self.port
        try:
            with ThreadPoolExecutor(8) as pool:
                for number in range(self.case.times):
                    targets = [target.format(number) for target in self.case.asks]
                    self.asked.update(pool.map(lambda target: ask(port, target, GIVE_UP_S), targets))
                    time.sleep(self.case.pause_s)
        finally:
            if proxy is not None:
                proxy.stop()

    def _stand_by(self) -> None:
        while not self.over.wait(0.1):
            self.others["answered" if ask(self.port, "/", 1) == "200" else "failed"] += 1

    # -- the verdict

    def found(self, *expressions: str | re.Pattern[str]) -> bool:
        """Whether one record of the log (a line, and the lines without a date below it) matches all."""
        records = re.split(r"\n(?=\[\d{4}-)", self.log)
        return any(all(re.search(each, record) for each in expressions) for record in records)

    def row(self) -> str:
        case = self.case
        named = [self.found(case.cause), self.found(case.place), self.found(case.cure)]
        words = ["yes" if each else "no" for each in [*named, self.goes_on]]
        asked = ", ".join(f"{count} x {what}" for what, count in sorted(self.asked.items()))
        others = f"{self.others['failed']} of {sum(self.others.values())} failed"
        return " | ".join([*words, asked, others])

    def excerpt(self) -> str:
        """The lines that say most: warnings and errors, and those with the cause or the place; each kind once."""
        lines = [line.replace(f"{self.home}/", "")[:700] for line in self.log.splitlines() if not NOISE.search(line)]
        telling = [line for line in lines if LOUD.search(line) or self.found_in(line)]
        kinds = {re.sub(r"[0-9]+", "0", line): line for line in reversed(telling)}
        chosen = [line for line in telling if line in kinds.values()][:EXCERPT]
        return "\n".join(chosen) or "(nothing but the start and the stop)"

    def found_in(self, line: str) -> bool:
        return bool(self.case.place.search(line) or re.search(self.case.cause, line))


def ask(port: int, target: str, timeout_s: float) -> str:
    """The status, or what came instead of one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", target, headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
    except TimeoutError:
        return "no answer"
    except (OSError, http.client.HTTPException):
        return "cut off"
    else:
        return str(response.status)
    finally:
        connection.close()


def main(names: list[str]) -> None:
    rows, excerpts = [], []
    cases = [case for case in CASES if case.name in names] or CASES
    servers = [server for server in SERVERS if server in names] or list(SERVERS)
    for case in cases:
        for server in servers:
            program = SERVERS[server]
            run = Run(case, program)
            run.play()
            rows.append(f"| {case.name} | {server} | {run.row()} |")
            excerpts.append(f"{case.name}, {server}:\n\n```\n{run.excerpt()}\n```\n")
            print(rows[-1], flush=True)
            shutil.rmtree(run.home)
    print("\n| application | server | cause | place | cure | goes on | asked | others |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join([*rows, "", *excerpts]))


if __name__ == "__main__":
    main(sys.argv[1:])
