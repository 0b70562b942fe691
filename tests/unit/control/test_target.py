from types import SimpleNamespace

import pytest

from ostler.control import target as module
from ostler.control.client import ControlError, Where
from ostler.control.subcommands import MEANINGS, usage
from ostler.control.target import Options, Target, find_target
from ostler.errors import ConfigError, UsageError


@pytest.fixture
def find(tmp_path):
    """find(*words) -> Target; the configuration's pidfile is `pidfile` of the directory, `asked` what was loaded."""
    (tmp_path / "pidfile").write_text("4242\n")
    asked = []

    def load(words):
        asked.append(list(words))
        return SimpleNamespace(
            pidfile=None if {"nothing.py", "socket.py"} & set(words) else str(tmp_path / "pidfile"),
            control_socket="/run/x.ctl" if "socket.py" in words else None,
        )

    def command(*words):
        return find_target("reload", [word.replace("@", f"{tmp_path}/") for word in words], load)

    command.asked, command.directory = asked, tmp_path
    return command


@pytest.mark.parametrize("words", [["4242"], ["-p", "@pidfile"], ["--pid", "@pidfile"], ["--pid=@pidfile"]])
def test_a_pid_or_its_file_needs_no_configuration(find, words):
    assert find(*words) == Target(Where(4242))
    assert find.asked == []


@pytest.mark.parametrize("words", [[], ["-c", "conf.py"], ["-c", "conf.py", "--pid", "x"], ["app:application"]])
def test_otherwise_the_configuration_names_the_file(find, words):
    assert find(*words) == Target(Where(4242))
    assert find.asked == [words]


def test_the_timeout_is_the_commands_wherever_it_stands(find):
    assert find("--timeout", "2.5", "4242") == Target(Where(4242), Options(2.5))
    assert find("4242", "--timeout=30") == Target(Where(4242), Options(30))
    assert find("-c", "conf.py", "--timeout", "9", "-w", "3") == Target(Where(4242), Options(9))
    assert find.asked == [["-c", "conf.py", "-w", "3"]]


@pytest.mark.parametrize(
    "words", [["4242", "-c", "conf.py"], ["0"], [str(2**31)], ["4242", "--timeout"], ["--timeout=x", "1"]]
)
def test_words_that_cannot_be_understood_are_a_usage_error(find, words):
    with pytest.raises(UsageError):
        find(*words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-c", "nothing.py"], "has no pidfile"),
        (["--pid", "@none"], "no such file or directory; does the server run?"),
        (["--pid", "@text"], 'expected a process ID in .*, got "hello"'),
    ],
)
def test_a_master_that_cannot_be_found_is_told_with_the_reason(find, words, reason):
    (find.directory / "text").write_text("hello\n")
    with pytest.raises(ControlError, match=f"reload: .*{reason}"):
        find(*words)


@pytest.mark.parametrize("command", MEANINGS)
def test_the_help_says_what_the_exit_status_means(command):
    assert f"usage: ostler {command} " in usage(command)
    assert "exit status is 0" in usage(command)


@pytest.mark.parametrize("words", [["-s", "/run/a.ctl"], ["--socket", "/run/a.ctl"], ["--socket=/run/a.ctl"]])
def test_a_control_socket_needs_no_configuration(find, words):
    assert find(*words).where == Where(path="/run/a.ctl", typed=True)
    assert find.asked == []


def test_a_configuration_without_pidfile_may_name_the_socket(find):
    assert find("-c", "socket.py").where == Where(path="/run/x.ctl")


def test_options_are_the_commands_own(tmp_path):
    def stop(*words):
        return find_target("stop", words, None)

    assert stop("4242", "--quick", "--json").options == Options(None, True, True)
    with pytest.raises(UsageError):
        find_target("scale", ["4", "4242", "--quick"], None)


@pytest.mark.parametrize(
    ("command", "words", "own"), [("scale", ["8", "4242"], ("8",)), ("log-level", ["DEBUG", "4242"], ("DEBUG",))]
)
def test_what_a_command_takes_stands_before_the_target(command, words, own):
    assert find_target(command, words, None) == Target(Where(4242), words=own)


@pytest.mark.parametrize(
    ("command", "words", "reason"),
    [
        ("scale", [], "expected how many"),
        ("scale", ["0"], "1 or more"),
        ("scale", ["-c", "x.py"], "expected how many"),
        ("log-level", ["loud", "4242"], "expected one of .*debug"),
    ],
)
def test_a_command_without_what_it_takes_is_a_usage_error(command, words, reason):
    with pytest.raises(UsageError, match=reason):
        find_target(command, words, None)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """machine(masters=..., parents=..., path=...): what runs; no configuration is here."""

    def set_up(masters=(), parents=None, path=None):
        monkeypatch.setattr(module, "running_masters", lambda: list(masters))
        monkeypatch.setattr(module, "is_master", lambda which: which in (*masters, path))
        monkeypatch.setattr(module, "parent_of", lambda pid: (parents or {}).get(pid, 0))
        monkeypatch.setattr(module, "described", str)
        monkeypatch.setattr(module, "default_control_socket", lambda environ: path)

    return set_up


def nothing_here(words):
    return SimpleNamespace(pidfile=None, control_socket=None)


def broken(words):
    raise ConfigError("workers: expected a positive integer")


def test_with_nothing_said_the_default_path_comes_before_the_one_that_runs(machine):
    machine(masters=[42], path="/run/gunicorn.ctl")
    assert find_target("status", [], nothing_here).where == Where(path="/run/gunicorn.ctl")
    machine(masters=[42])
    assert find_target("status", [], nothing_here).where == Where(42)
    assert find_target("status", ["--json"], broken).where == Where(42)


def test_an_order_is_not_for_the_first_of_several(machine):
    """The default path is that of the one that was started first."""
    machine(masters=[42, 43], path="/run/gunicorn.ctl")
    assert find_target("status", [], nothing_here).where == Where(path="/run/gunicorn.ctl")
    with pytest.raises(ControlError, match="2 servers run here, say which one by its PID: 42; 43"):
        find_target("stop", [], nothing_here)
    machine(masters=[42], path="/run/gunicorn.ctl")
    assert find_target("stop", [], nothing_here).where == Where(path="/run/gunicorn.ctl")


@pytest.mark.parametrize(
    ("masters", "load", "reason"),
    [
        ([42, 43], nothing_here, "2 servers run here, say which one by its PID: 42; 43$"),
        (range(1, 15), nothing_here, "14 servers run here.*; and 4 more$"),
        ([], nothing_here, "no server of yours runs here, and no configuration with a pidfile is here; expected PID"),
        ([], broken, r"no server of yours runs here, and the configuration cannot be read \(workers: expected"),
    ],
)
def test_a_server_is_never_guessed(machine, masters, load, reason):
    machine(masters=masters)
    with pytest.raises(ControlError, match=reason):
        find_target("stop", [], load)


@pytest.mark.parametrize(
    ("words", "master", "own"),
    [
        (["42"], 42, ()),
        (["43"], 42, ("43",)),
        (["42", "43"], 42, ("43",)),
        (["43", "--pid", "@"], 42, ("43",)),
        ([], 42, ()),
    ],
)
def test_the_stacks_of_one_worker_are_asked_of_its_master(machine, tmp_path, words, master, own):
    machine(masters=[42], parents={43: 42})
    (tmp_path / "pid").write_text("42")
    words = [word.replace("@", str(tmp_path / "pid")) for word in words]
    assert find_target("stacks", words, nothing_here) == Target(Where(master), words=own)
