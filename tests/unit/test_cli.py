"""The command up to the point where the master would start; `--check-config` stands for a run."""

import io
import json
import os
import subprocess
import sys

import pytest

from ostler.cli import _write, main
from ostler.control.client import ControlError, Outcome
from tests.unit.compat.names import gunicorn_put_back

VARIABLES = ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "GUNICORN_CMD_ARGS", "OSTLER_CMD_ARGS", "PWD")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A directory with an application, without variables of ours; the process is put back as it was."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path, modules = sys.path.copy(), sys.modules.copy()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app_of_test.py").write_text("def app(environ, start_response): ...\n")
    with gunicorn_put_back():
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


def test_an_application_is_checked_against_the_kind_that_is_to_run_it(start, run):
    (start / "asgi_of_test.py").write_text("async def app(scope, receive, send): ...\n")
    assert run("--check-config", "asgi_of_test:app") == (0, "", "")  # recognised
    assert run("--check-config", "-k", "asgi", "app_of_test:app") == (0, "", "")  # served in threads
    status, out, err = run("--check-config", "-k", "gthread", "asgi_of_test:app")
    assert (status, out) == (1, "")
    assert err == (
        "Error: application: expected one for wsgi, which gthread workers run, got one for asgi; "
        "use --worker-class asgi\n"
    )


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
            ["--dirty-workers", "2", "app_of_test:app"],
            1,
            "not built yet in this version of Ostler (0.1.0); remove it (from the command line)",
        ),
        (["--paste", "none.ini"], 1, 'paste: expected a file, got "none.ini": nothing there'),
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


def test_notices_go_to_stderr_and_change_nothing(start, run):
    (start / "gunicorn.conf.py").write_text("worker = 3\nworker_tmp_dir = '/dev/shm'\n")
    status, out, err = run("--check-config", "app_of_test:app")
    assert (status, out) == (0, "")
    first, second = err.splitlines()
    assert first == "worker: not a setting; did you mean workers? (from gunicorn.conf.py:1)"
    assert second.startswith("worker_tmp_dir: has no effect")
    status, out, again = run("--print-config", "app_of_test:app")
    assert (status, again) == (0, err)
    assert first not in out


def test_toml_is_checked_and_printed(start, run):
    (start / "ostler.toml").write_text('wsgi_app = "app_of_test:app"\nworkers = 3\n')
    assert run("--check-config") == (0, "", "")
    assert "= 3  (ostler.toml)\n" in run("--print-config")[1]
    (start / "ostler.toml").write_text("workers = \n")
    status, _, err = run("--check-config")
    assert status == 1
    assert err.startswith("Error: config: ostler.toml:1:11: expected TOML: ")


def test_the_application_is_checked_in_the_environment_that_it_will_have(start, run, monkeypatch):
    monkeypatch.setenv("KEY_OF_TEST", "")
    (start / "asking_of_test.py").write_text(
        "import os\nassert os.environ['KEY_OF_TEST'] == 'a=b'\ndef app(environ, start_response): ...\n"
    )
    assert run("--check-config", "-e", "KEY_OF_TEST=a=b", "asking_of_test:app") == (0, "", "")


def test_the_application_of_a_paste_file_is_checked(start, run):
    (start / "paste_of_test.py").write_text(
        "def make(global_conf):\n    1 / int(global_conf['number'])\n"
        "    def app(environ, start_response): ...\n    return app\n"
    )
    (start / "production.ini").write_text("[app:main]\npaste.app_factory = paste_of_test:make\n")
    assert run("--check-config", "--paste", "production.ini", "--paste-global", "number=1") == (0, "", "")
    status, _, err = run("--check-config", "--paste", "production.ini", "--paste-global", "number=0")
    assert status == 1
    assert err.startswith("Traceback (most recent call last):\n")
    assert "production.ini: ZeroDivisionError: division by zero in paste_of_test.py:2\n" in err


def test_settings_are_listed_described_and_put_into_a_schema(run):
    status, out, err = run("settings")
    assert (status, err) == (0, "")
    assert "  workers " in out
    assert "  post_fork " in out
    for name in ("keepalive", "--keep-alive", "keep-alive"):
        status, out, err = run("settings", name)
        assert (status, err) == (0, "")
        assert out.startswith("keepalive (Worker processes)\n")
    assert json.loads(run("settings", "--json")[1])["properties"]["workers"]
    assert run("settings", "--help")[1].startswith("usage: ostler settings ")


def test_a_setting_that_does_not_exist_is_told_with_the_closest(run):
    expected = 'Error: expected the name of a setting, got "worker"; did you mean workers?\n'
    assert run("settings", "worker") == (2, "", expected)
    assert run("settings", "nothing_like_it")[2].endswith("; ostler settings lists them\n")


def test_an_application_called_settings_can_be_served(start, run):
    (start / "settings.py").write_text("def application(environ, start_response): ...\n")
    assert run("--check-config", "settings:application") == (0, "", "")
    assert run("--check-config", "--", "settings") == (0, "", "")
    assert run("--check-config", "settings") == (0, "", "")  # the command is the first word only
    status, out, err = run("settings", "-w", "3")
    assert (status, out) == (2, "")
    assert "write settings:application" in err


@pytest.mark.parametrize("command", ["reload", "upgrade"])
def test_a_command_for_a_running_server_shows_what_the_master_says(start, run, monkeypatch, command):
    def ask(where, request, show, timeout_s):
        show(f"{request.command.value} of {where.pid}\nwithin {timeout_s}\x1b")
        return Outcome("done")

    monkeypatch.setattr("ostler.control.subcommands.ask", ask)
    assert run(command, "4242", "--timeout", "3") == (0, f"{command} of 4242\nwithin 3.0\\x1b\ndone\n", "")
    (start / "gunicorn.conf.py").write_text("import gunicorn.config\npidfile = 'server.pid'\n")
    (start / "server.pid").write_text("17\n")
    assert run(command)[1].startswith(f"{command} of 17\n")
    assert run(command, "--help")[1].startswith(f"usage: ostler {command} ")


def test_a_command_that_is_interrupted_or_refused_says_so_by_its_status(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    def refused(*_):
        raise ControlError("reload failed: no; generation 1 keeps serving")

    monkeypatch.setattr("ostler.control.subcommands.ask", interrupted)
    assert run("reload", "4242") == (130, "", "")
    monkeypatch.setattr("ostler.control.subcommands.ask", refused)
    assert run("reload", "4242") == (1, "", "Error: reload failed: no; generation 1 keeps serving\n")
    assert run("reload", "4242", "-w", "3")[0] == 2


@pytest.mark.parametrize("name", ["reload", "status", "control"])
def test_an_application_called_as_a_command_can_be_served(start, run, name):
    (start / f"{name}.py").write_text("def application(environ, start_response): ...\n")
    assert run("--check-config", f"{name}:application") == (0, "", "")
    assert run("--check-config", "--", name) == (0, "", "")
    sys.modules.pop(name, None)


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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_an_answer_that_could_not_be_written_is_not_done(run, monkeypatch):
    """A script would take the half of it for an answer."""
    monkeypatch.setattr("ostler.control.subcommands.ask", lambda *_: Outcome("done"))
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        status, _, err = run("reload", "4242", "--json")
    assert (status, err) == (1, "Error: reload: cannot write to stdout: no space left on device\n")


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


def test_checking_looks_into_certificates_too(run, start):
    (start / "empty.pem").touch()
    status, _, err = run("--check-config", "--certfile", "empty.pem", "app_of_test:app")
    assert (status, err.splitlines()[-1].startswith("Error: certfile: expected a certificate in PEM in")) == (1, True)
