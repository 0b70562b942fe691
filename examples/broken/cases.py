"""What is done to each of the broken applications, and what a log has to say then: the same for every server.

`compare.py` runs them under Ostler and under Gunicorn, tests/integration/test_broken.py under Ostler.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MARK = "# broken:"


@dataclass(frozen=True)
class Case:
    """One application. `asks`: targets that are asked for at the same time, each of them once; `times`: over and over.

    `cause`, `cure`: what one line of the log, which names the place, too, has to match. `flags`: of both servers, to
    have it over sooner than in the example's own configuration; `ours`: settings that only Ostler has.
    """

    name: str
    asks: Sequence[str]
    cause: str
    cure: str
    times: int = 1
    pause_s: float = 0.0
    """Between these times."""
    flags: Sequence[str] = ()
    ours: Sequence[str] = ()
    limit: str = ""
    """Of the shell that starts the server: what to give `ulimit`."""
    nginx: bool = False
    """The client asks an Nginx in front, with its default buffers."""
    reload: tuple[str, str] = ("", "")
    """Before it asks: replace the one text of the configuration file by the other, and send HUP."""

    @property
    def application(self) -> Path:
        return HERE / f"{self.name}.py"

    @property
    def configuration(self) -> Path:
        return HERE / f"{self.name}.conf.py"

    @property
    def line(self) -> int:
        """The number of the marked line."""
        lines = self.application.read_text().splitlines()
        (number,) = [number for number, line in enumerate(lines, 1) if MARK in line]
        return number

    @property
    def place(self) -> re.Pattern[str]:
        """The marked line as logs name lines: `app.py:12`, or `app.py", line 12` in a traceback."""
        return re.compile(rf'\b{self.name}\.py(:|", line ){self.line}\b')


CASES = (
    Case(
        "hang_in_c",
        [f"/subscribe?address={'a' * 40}@"],
        cause=r"C code holds the GIL|computes without end",
        cure=r"bound its input|bound the loop or its input",
        flags=["--timeout", "1"],
    ),
    Case(
        "deadlock",
        ["/transfer/rose/lily", "/transfer/lily/rose"],
        cause=r"waits for a lock|deadlock",
        cure=r"locks in the same order",
        flags=["--timeout", "1"],
        ours=["--request-timeout", "0.5"],
    ),
    Case(
        "slow_query",
        ["/report"],
        cause=r"waits for a database|slow query",
        cure=r"indexes|statement timeout",
        flags=["--timeout", "3"],
        ours=["--request-timeout", "0.5"],
    ),
    Case(
        "leak",
        ["/catalogue?session={}"],
        times=60,
        pause_s=0.08,
        cause=r"memory that is kept|leak\b",
        cure=r"bound what is kept",
        ours=["--max-worker-memory", "80M"],
    ),
    Case(
        "segfault",
        ["/resize"],
        cause=r"SIGSEGV|Segmentation fault",
        cure=r"C extension|core file",
    ),
    Case(
        "exit_in_request",
        ["/import?file=none"],
        cause=r"SystemExit|sys\.exit",
        cure=r"return a response",
    ),
    Case(
        "thread_bomb",
        ["/order"],
        times=40,
        cause=r"can't start new thread|too many threads",
        cure=r"start threads once",
        limit="-v 2000000",
    ),
    Case(
        "import_error",
        ["/"],
        cause=r"No module named 'payments_gateway'",
        cure=r"\binstall\b",
        reload=("PAYMENTS=off", "PAYMENTS=on"),
    ),
    Case(
        "too_many_files",
        ["/hello?visitor={}"],
        times=80,
        cause=r"[Tt]oo many open files",
        cure=r"close what|raise the limit",
        limit="-n 64",
    ),
    Case(
        "large_cookie",
        ["/basket?items=1000"],
        times=3,
        cause=r"Nginx.* 502|proxy_buffer_size",
        cure=r"proxy_buffer_size 16k",
        nginx=True,
    ),
)
