"""`make bench` works: a short run of it with Ostler alone. Its figures mean nothing here."""

import os
import re
import subprocess
import sys

from tests.integration.harness import ROOT
from tests.integration.proxy import find_tool


def test_the_benchmark_runs_and_serves_without_errors() -> None:
    find_tool("wrk")
    options = ["--only", "ostler", "--rounds", "1", "--seconds", "1", "--mixed-requests", "120"]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "run.py"), *options],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    hello = re.findall(r"^ostler (?:gthread|gthread x4|sync) +(\d+) +[\d.]+ +(\d+) ", ended.stdout, re.MULTILINE)
    assert len(hello) == 3, ended.stdout
    for requests_per_s, errors in hello:
        assert int(requests_per_s) > 100
        assert errors == "0"
    mixed = re.findall(r"^ostler (?:gthread x2|sync) +[\d.]+ +[\d.]+ +[\d.]+ +(\d+)$", ended.stdout, re.MULTILINE)
    assert mixed == ["0", "0"], ended.stdout
