from types import SimpleNamespace

import pytest

from ostler.control.client import ControlError
from ostler.control.target import Target, find_target, usage
from ostler.errors import UsageError


@pytest.fixture
def find(tmp_path):
    """find(*words) -> Target; the configuration's pidfile is `pidfile` of the directory, `asked` what was loaded."""
    (tmp_path / "pidfile").write_text("4242\n")
    asked = []

    def load(words):
        asked.append(list(words))
        return SimpleNamespace(pidfile=None if "nothing.py" in words else str(tmp_path / "pidfile"))

    def command(*words):
        return find_target("reload", [word.replace("@", f"{tmp_path}/") for word in words], load)

    command.asked, command.directory = asked, tmp_path
    return command


@pytest.mark.parametrize("words", [["4242"], ["-p", "@pidfile"], ["--pid", "@pidfile"], ["--pid=@pidfile"]])
def test_a_pid_or_its_file_needs_no_configuration(find, words):
    assert find(*words) == Target(4242, None)
    assert find.asked == []


@pytest.mark.parametrize("words", [[], ["-c", "conf.py"], ["-c", "conf.py", "--pid", "x"], ["app:application"]])
def test_otherwise_the_configuration_names_the_file(find, words):
    assert find(*words) == Target(4242, None)
    assert find.asked == [words]


def test_the_timeout_is_the_commands_wherever_it_stands(find):
    assert find("--timeout", "2.5", "4242") == Target(4242, 2.5)
    assert find("4242", "--timeout=30") == Target(4242, 30)
    assert find("-c", "conf.py", "--timeout", "9", "-w", "3") == Target(4242, 9)
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


@pytest.mark.parametrize("command", ["reload", "upgrade"])
def test_the_help_says_what_the_exit_status_means(command):
    assert f"usage: ostler {command} PID" in usage(command)
    assert "exit status is 0" in usage(command)
