"""wrk as the benchmarks use it: one thread, 32 keep-alive connections, a browser's headers."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import Running

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}


@dataclass(frozen=True)
class Throughput:
    requests_per_s: float
    cpu_us: float  # of the whole server, for one request; infinite when it answered none
    errors: int


@dataclass(frozen=True)
class Wrk:
    program: str
    script: Path

    def run(self, server: Running, seconds: int) -> Throughput:
        before = server.cpu_seconds()
        command = [self.program, "-t1", "-c32", f"-d{seconds}s", "-s", str(self.script)]
        address = f"http://127.0.0.1:{server.port}/"
        output = subprocess.run([*command, address], capture_output=True, text=True, check=True).stdout
        used = server.cpu_seconds() - before
        figures = re.search(r"FIGURES (\d+) (\d+) (\d+)", output)
        if figures is None:
            raise SystemExit(f"wrk said nothing of use: {output}")
        requests, duration_s = int(figures[1]), int(figures[2]) / 1e6
        return Throughput(requests / duration_s, used / requests * 1e6 if requests else float("inf"), int(figures[3]))


@contextmanager
def find_wrk() -> Iterator[Wrk]:
    program = shutil.which("wrk")
    if program is None:
        sys.exit("bench: wrk is not installed (Debian: apt-get install wrk)")
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "browser.lua")
        script.write_text(_lua_script())
        yield Wrk(program, script)


def _lua_script() -> str:
    fields = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in BROWSER.items())
    return f"""{fields}
done = function(summary)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write
                 + summary.errors.status + summary.errors.timeout
  print(string.format("FIGURES %d %d %d", summary.requests, summary.duration, failed))
end
"""
