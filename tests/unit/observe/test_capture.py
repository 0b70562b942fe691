"""observe/capture.py"""

import os

import pytest

from ostler.observe.capture import StandardOutput


@pytest.fixture
def descriptors():
    saved = [os.dup(1), os.dup(2)]
    yield
    for number, fd in zip((1, 2), saved, strict=True):
        os.dup2(fd, number)
        os.close(fd)


@pytest.fixture
def standard(descriptors):
    found = StandardOutput()
    yield found
    for fd in found._former or ():
        if fd >= 0:
            os.close(fd)


def test_output_goes_to_the_file_and_comes_back(standard, tmp_path):
    former = os.fstat(1).st_ino, os.fstat(2).st_ino
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    standard.capture(fd)
    standard.capture(fd)
    os.write(1, b"printed\n")
    os.write(2, b"complained\n")
    assert standard.captured
    assert os.fstat(standard.console).st_ino == former[1]
    assert not os.get_inheritable(standard.console)
    standard.release()
    standard.release()
    os.close(fd)
    assert (os.fstat(1).st_ino, os.fstat(2).st_ino) == former
    assert not standard.captured
    assert (tmp_path / "log").read_text() == "printed\ncomplained\n"


def test_nothing_is_given_back_that_was_not_taken(standard):
    standard.release()
    assert standard.console == 2


def test_a_stderr_that_was_closed_at_the_start_is_no_console(standard, tmp_path):
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.close(2)
    standard.capture(fd)
    os.write(2, b"heard\n")
    standard.release()
    os.close(fd)
    assert standard.console == -1
    assert (tmp_path / "log").read_text() == "heard\n"
