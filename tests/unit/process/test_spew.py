"""Tracing would take the place of the test runner's own tools, so each program here has a process of its own."""

import subprocess
import sys

START = "from ostler.process.spew import spew, unspew\n"


def run(tmp_path, program, **options):
    (tmp_path / "traced.py").write_text(START + program)
    return subprocess.run(
        [sys.executable, str(tmp_path / "traced.py")], stdout=subprocess.PIPE, check=False, timeout=20, **options
    )


def lines(tmp_path, program):
    done = run(tmp_path, program)
    assert done.returncode == 0
    return [line for line in done.stdout.decode().splitlines() if line.startswith(("__main__:", "\t", "[", "weird"))]


def test_each_line_is_written_with_its_module_and_number(tmp_path):
    assert lines(tmp_path, "def f(a):\n    b = a\n    return b\nspew()\nf(1)\n") == [
        "__main__:3:     b = a",
        "__main__:4:     return b",
    ]


def test_values_are_written_when_asked_for_and_a_bad_repr_hurts_nobody(tmp_path):
    program = """
class Bad:
    def __repr__(self):
        raise RuntimeError("on purpose")
def f(a, bad):
    return (a, bad, LIMIT)
LIMIT = 5
spew(values=True)
f("x" * 9999, Bad())
"""
    source, values, *_ = lines(tmp_path, program)
    assert source == "__main__:7:     return (a, bad, LIMIT)"
    assert values.startswith("\ta='xxx")
    assert values.endswith("LIMIT=5")
    assert len(values) < 400


def test_new_threads_are_traced_and_tracing_ends(tmp_path):
    program = """
import threading
def f():
    return 1
spew()
thread = threading.Thread(target=f)
thread.start()
thread.join()
unspew()
f()
"""
    assert lines(tmp_path, program) == ["__main__:5:     return 1"]


def test_odd_frames_are_written_all_the_same(tmp_path):
    program = """
spew()
exec("x = 1", {})
exec("y = 2", {"__name__": "weird", "__file__": None})
exec("z = 3", {"__name__": "weird\\udcff", "__loader__": 5})
"""
    found = lines(tmp_path, program)
    assert len(found) == 3
    assert found[0].startswith("[unknown]:1: no source, in <module> of <string>, instruction ")
    assert found[1].startswith("weird:1: ")
    assert found[2].startswith("weird\\udcff:1: ")


def test_a_closed_standard_output_stops_nothing(tmp_path):
    program = "import os\ndef f():\n    return 1\nos.close(1)\nspew()\nf()\nunspew()\nos._exit(7)\n"
    assert run(tmp_path, program).returncode == 7
