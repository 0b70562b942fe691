"""`make bench` works: short runs of its parts with Ostler alone. Their figures mean nothing here."""

import os
import re
import subprocess
import sys

from tests.integration.harness import ROOT
from tests.integration.proxy import find_tool


def output_of(script: str, *options: str) -> str:
    find_tool("wrk")
    ended = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *options],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_benchmark_runs_and_serves_without_errors() -> None:
    options = ["--only", "ostler sync", "--rounds", "1", "--seconds", "1", "--mixed-requests", "120"]
    output = output_of("run.py", *options, "--slow-clients", "0")
    hello = re.findall(r"^ostler sync +(\d+) +[\d.]+ +(\d+) ", output, re.MULTILINE)
    assert len(hello) == 1, output
    for requests_per_s, errors in hello:
        assert int(requests_per_s) > 100
        assert errors == "0"
    mixed = re.findall(r"^ostler sync +[\d.]+ +[\d.]+ +[\d.]+ +(\d+)$", output, re.MULTILINE)
    assert mixed == ["0"], output


def test_the_benchmark_of_asgi_runs_and_serves_without_errors() -> None:
    output = output_of("asgi_servers.py", "--only", "ostler", "--rounds", "1", "--seconds", "1")
    figures = re.findall(r"^ostler asgi +(\d+) +[\d.]+ +(\d+) ", output, re.MULTILINE)
    assert len(figures) == 3, output
    for requests_per_s, errors in figures:
        assert int(requests_per_s) > 100
        assert errors == "0"


def test_the_benchmark_of_slow_clients_runs_and_loses_no_request() -> None:
    options = ["--only", "ostler sync", "--slow-clients", "50", "--slow-seconds", "1", "--slow-kinds", "reader"]
    output = output_of("slow_clients.py", *options)
    figures = re.findall(r"^ostler sync((?: +[\d.]+){17})$", output, re.MULTILINE)
    assert len(figures) == 1, output
    columns = figures[0].split()
    assert (columns[5], columns[16]) == ("0", "0"), f"lost, cut: {output}"


def test_the_benchmark_of_memory_runs_and_serves_without_errors() -> None:
    options = ["--memory-workers", "1", "--memory-requests", "20", "--memory-only", "ostler preload"]
    output = output_of("memory.py", *options)
    figures = re.findall(r"^ostler preload((?: +[\d.]+){10})$", output, re.MULTILINE)
    assert len(figures) == 1, output
    columns = figures[0].split()
    assert columns[-1] == "0", f"failed: {output}"
    for each in (0, 1, 2, 3, 4, 5, 6, 7):
        assert 5 < float(columns[each]) < 200, output
