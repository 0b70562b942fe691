"""The command up to the point where the master would start; `--check-config` stands for a run."""

import io
import os
import subprocess
import sys

import pytest

from ostler.cli import _write, main

VARIABLES = ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "GUNICORN_CMD_ARGS", "OSTLER_CMD_ARGS", "PWD")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A directory with an application, without variables of ours; the process is put back as it was."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path, modules = sys.path.copy(), sys.modules.copy()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app_of_test.py").write_text("def app(environ, start_response): ...\n")
    yield tmp_path
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


@pytest.fixture
def run(start, capsys):
    """main() with these words -> (status, stdout, stderr)."""

    def command(*words):
        status = main(list(words))
        return (status, *capsys.readouterr())

    return command


def test_a_configuration_that_works_is_checked_in_silence(run):
    assert run("--check-config", "app_of_test:app") == (0, "", "")


def test_help_and_version_go_to_stdout(run):
    assert run("--version") == (0, "ostler (version 0.1.0)\n", "")
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert out.startswith("usage: ostler [OPTIONS] [APP]\n")


def test_values_are_printed_with_their_origin_and_the_application_is_checked(run):
    status, out, err = run("--print-config", "-w", "3", "app_of_test:app")
    assert (status, err) == (0, "")
    assert "= 3  (command line)\n" in out
    status, out, err = run("--print-config", "app_of_test:missing")
    assert status == 1
    assert "wsgi_app" in out
    assert err.startswith("Error: application: module app_of_test has no attribute missing")


def test_no_application_is_told_with_an_example(run):
    expected = "Error: no application given; expected MODULE[:ATTRIBUTE], e.g. ostler myapp:app\n"
    assert run() == (1, "", expected)


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (["--nope"], 2, "unrecognized arguments: --nope"),
        (
            ["-w", "four", "app_of_test:app"],
            2,
            'workers: expected a positive integer, got "four" (from the command line)',
        ),
        (["-w", "0", "app_of_test:app"], 1, "workers: expected a positive integer"),
        (
            ["--preload", "app_of_test:app"],
            1,
            "preload_app: not built yet in this version of Ostler (0.1.0); remove --pre",
        ),
        (["-c", "none.py", "app_of_test:app"], 1, 'config: expected a file, got "none.py": nothing there'),
        (["--check-config", "no_module_of_test"], 1, 'cannot load no_module_of_test: no module "no_module_of_test" in'),
        (["--check-config", "app_of_test:a.b"], 1, "application: expected MODULE"),
    ],
)
def test_what_goes_wrong_is_one_line_and_the_documented_status(run, words, status, part):
    found, out, err = run(*words)
    assert (found, out) == (status, "")
    assert err.startswith("Error: ")
    assert part in err
    assert err.count("\n") == 1


def test_the_users_traceback_stands_whole_above_the_line(start, run):
    (start / "broken_of_test.py").write_text("def f():\n    1/0\nf()\n")
    status, _, err = run("--check-config", "broken_of_test:app")
    assert status == 1
    assert err.startswith("Traceback (most recent call last):\n")
    assert "src/ostler" not in err
    last = "Error: cannot load broken_of_test:app: ZeroDivisionError: division by zero in broken_of_test.py:2\n"
    assert err.endswith(last)


def test_the_traceback_of_a_configuration_file_too(start, run):
    (start / "gunicorn.conf.py").write_text("import sys\nsys.exit('stop')\n")
    status, _, err = run("--check-config", "app_of_test:app")
    assert status == 1
    assert err.startswith("Traceback")
    assert err.endswith("Error: config: gunicorn.conf.py raised SystemExit('stop') in gunicorn.conf.py:2\n")


def test_the_application_is_found_through_chdir_and_pythonpath(start, run):
    (start / "site" / "lib").mkdir(parents=True)
    (start / "site" / "inner_of_test.py").write_text(
        "import lib_of_test\ndef application(environ, start_response): ...\n"
    )
    (start / "site" / "lib" / "lib_of_test.py").touch()
    assert run("--check-config", "--chdir", "site", "--pythonpath", "lib", "inner_of_test") == (0, "", "")


def test_an_interrupt_while_loading_is_the_shells_status(start, run):
    (start / "gunicorn.conf.py").write_text("raise KeyboardInterrupt\n")
    assert run("app_of_test:app") == (130, "", "")


def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        _write(stream, "text")
        _write(stream, "more")  # to the null device now
    _write(None, "text")


def test_text_that_the_terminal_cannot_show_is_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    _write(stream, "caf\xe9\n")
    assert stream.buffer.getvalue() == b"caf\\xe9\n"


# A child, although unit tests have none: the descriptors 0, 1 and 2 of this process are not ours to close.
@pytest.mark.parametrize("closed", ["", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_do_not_disturb(start, closed):
    command = f'exec "{sys.executable}" -m ostler --print-config app_of_test:app {closed}'
    result = subprocess.run(["/bin/sh", "-c", command], cwd=start, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
