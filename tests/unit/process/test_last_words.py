"""process/last_words.py: in processes of their own, for it is about how they end."""

import subprocess
import sys

import pytest

BEGIN = """
import ctypes, faulthandler, os, sys
from ostler.process import last_words
reading, writing = os.pipe()
def told():
    os.close(writing)
    with open(reading) as file:
        print(file.read(), flush=True)
def child(what):
    pid = os.fork()
    if not pid:
        what()
        os._exit(0)
    os.waitpid(pid, 0)
def crash():
    ctypes.string_at(0)
def leave():
    os._exit(7)
def tell():
    last_words.tell(writing)
"""


def run(code, *options, **env):
    command = [sys.executable, *options, "-c", BEGIN + code]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=20, check=False)


def test_a_crash_is_told_where_it_was_asked_for():
    done = run("child(lambda: (tell(), crash()))\ntold()")
    assert "Segmentation fault" in done.stdout
    assert "in crash" in done.stdout
    assert not done.stderr


def test_it_is_told_again_in_a_process_that_was_forked_and_asks_anew():
    done = run("tell()\nchild(lambda: (tell(), crash()))\ntold()")
    assert "in crash" in done.stdout


def test_a_process_that_the_application_forks_tells_on_stderr():
    done = run("tell()\nchild(crash)\nchild(leave)\ntold()")
    assert not done.stdout.strip()
    assert "in crash" in done.stderr


def test_what_the_user_has_made_of_faulthandler_stands():
    done = run("faulthandler.enable(sys.stderr)\nchild(lambda: (tell(), crash()))\ntold()")
    assert not done.stdout.strip()
    assert "in crash" in done.stderr


def test_what_the_user_makes_of_it_afterwards_stands():
    done = run("child(lambda: (tell(), faulthandler.enable(), crash()))\ntold()")
    assert not done.stdout.strip()
    assert "in crash" in done.stderr


@pytest.mark.parametrize(("options", "env"), [(["-X", "faulthandler"], {}), ([], {"PYTHONFAULTHANDLER": "1"})])
def test_pythons_own_default_is_no_users_choice(options, env):
    done = run("child(lambda: (tell(), crash()))\ntold()", *options, **env)
    assert "in crash" in done.stdout


def test_who_calls_exit_is_told_and_the_status_stays():
    done = run("tell()\npid = os.fork()\nif not pid: (tell(), leave())\nprint(os.waitpid(pid, 0)[1])\ntold()")
    assert done.stdout.startswith("1792\nos._exit(7) was called\nStack (most recent call first):\n")
    assert "in leave" in done.stdout


def test_our_own_exits_are_nobodys_affair():
    done = run("tell()\nsys.modules['__main__'].__name__ = 'ostler.x'\n__name__ = 'ostler.x'\nleave()")
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


def test_a_descriptor_that_is_closed_does_no_harm():
    done = run("tell()\nos.close(writing)\nleave()")
    assert (done.returncode, done.stderr) == (7, "")


OWN = """
real = os._exit
def own(status):
    print("own", status, flush=True)
    real(status)
"""


@pytest.mark.parametrize("order", ["os._exit = own; tell()", "tell(); real = os._exit; os._exit = own; tell()"])
def test_what_others_have_made_of_os_exit_stands(order):
    done = run(f"{OWN}\n{order}\nchild(lambda: (tell(), leave()))\ntold()")
    assert done.stdout.startswith("own 7\nos._exit(7) was called\n"), done
    assert done.stdout.count("own 7") == done.stdout.count("os._exit(7)") == 1
