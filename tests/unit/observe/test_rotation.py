"""observe/rotation.py"""

import os
import time
from datetime import datetime

import pytest

from ostler.observe.outlet import LogFileUnusable
from ostler.observe.rotation import DAILY, Rotation, RotationClock, step_aside


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "log")


@pytest.fixture
def fd(path):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    yield fd
    os.close(fd)


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def contents(tmp_path):
    return {each.name: each.read_text() for each in tmp_path.iterdir()}


def test_rotation_is_on_when_there_is_a_size_or_an_interval():
    assert not Rotation().on
    assert Rotation(size=1).on
    assert Rotation(interval=1).on


def test_a_file_is_due_at_its_size(path, fd):
    clock = RotationClock(Rotation(size=10), path, fd, 0.0)
    os.write(fd, b"123456789")
    assert not clock.due(fd, 1e12)
    os.write(fd, b"0")
    assert clock.due(fd, 0.0)


def test_a_file_is_due_an_interval_after_it_began_and_late_checks_add_no_drift(path, fd):
    clock = RotationClock(Rotation(interval=100), path, fd, 1000.0)
    os.write(fd, b"x")
    assert not clock.due(fd, 1099.9)
    assert clock.due(fd, 1100.0)
    clock.rotated(1103.0)
    assert not clock.due(fd, 1199.9)
    assert clock.due(fd, 1200.0)
    clock.rotated(1530.0)
    assert not clock.due(fd, 1599.9)
    assert clock.due(fd, 1600.0)


def test_a_rotation_by_size_begins_a_new_interval(path, fd):
    clock = RotationClock(Rotation(size=10, interval=100), path, fd, 1000.0)
    os.write(fd, b"x")
    clock.rotated(1050.0)
    assert not clock.due(fd, 1149.9)
    assert clock.due(fd, 1150.0)


@pytest.mark.usefixtures("berlin")
def test_a_daily_file_is_due_at_local_midnight(path, fd):
    began = datetime(2026, 10, 24, 12, 0).timestamp()
    clock = RotationClock(Rotation(interval=DAILY), path, fd, began)
    os.write(fd, b"x")
    midnight = datetime(2026, 10, 25).timestamp()
    assert not clock.due(fd, midnight - 0.1)
    assert clock.due(fd, midnight)
    clock.rotated(midnight + 1)  # a day of 25 hours
    assert not clock.due(fd, midnight + 25 * 3600 - 1)
    assert clock.due(fd, midnight + 25 * 3600)


def test_an_empty_file_is_never_due(path, fd):
    clock = RotationClock(Rotation(size=1, interval=100), path, fd, 0.0)
    assert not clock.due(fd, 1e9)


def test_a_closed_file_is_never_due(path, fd):
    assert not RotationClock(Rotation(size=1), path, fd, 0.0).due(-1, 1e9)


def test_a_file_of_an_earlier_start_began_at_its_last_write(path, fd):
    os.write(fd, b"x")
    os.utime(path, (500.0, 500.0))
    clock = RotationClock(Rotation(interval=100), path, fd, 550.0)
    assert not clock.due(fd, 599.0)
    assert clock.due(fd, 600.0)


def test_a_file_of_an_earlier_start_began_when_the_former_was_renamed(path, fd, tmp_path):
    now = time.time()
    os.write(fd, b"x")
    os.utime(path, (now + 5000, now + 5000))
    (tmp_path / "log.1").touch()
    clock = RotationClock(Rotation(interval=1000), path, fd, now + 6000)
    assert clock.due(fd, now + 1010)
    assert not clock.due(fd, now + 900)


def test_a_failure_is_not_repeated_for_a_minute(path, fd):
    clock = RotationClock(Rotation(size=1), path, fd, 0.0)
    os.write(fd, b"x")
    clock.failed(1000.0)
    assert not clock.due(fd, 1059.9)
    assert clock.due(fd, 1060.0)


def test_former_files_move_up_and_the_oldest_goes(path, fd, tmp_path):
    for number in (1, 2, 3, 4, 5):
        (tmp_path / f"log.{number}").write_text(str(number))
    os.write(fd, b"now")
    os.close(step_aside(path, fd, None, 3))
    assert contents(tmp_path) == {"log": "", "log.1": "now", "log.2": "1", "log.3": "2"}


def test_former_files_move_no_further_than_the_first_free_number(path, fd, tmp_path):
    for number in (1, 3):
        (tmp_path / f"log.{number}").write_text(str(number))
    os.close(step_aside(path, fd, None, 5))
    assert contents(tmp_path) == {"log": "", "log.1": "", "log.2": "1", "log.3": "3"}


def test_one_former_file_may_be_all(path, fd, tmp_path):
    (tmp_path / "log.1").write_text("old")
    os.write(fd, b"now")
    os.close(step_aside(path, fd, None, 1))
    assert contents(tmp_path) == {"log": "", "log.1": "now"}


@pytest.mark.parametrize("there_is_a_new_one", [True, False])
def test_a_file_that_somebody_renamed_already_is_only_opened_anew(path, fd, tmp_path, there_is_a_new_one):
    os.write(fd, b"old")
    os.rename(path, f"{path}.by-logrotate")
    if there_is_a_new_one:
        (tmp_path / "log").write_text("new")
    new = step_aside(path, fd, None, 3)
    os.write(new, b"!")
    os.close(new)
    assert contents(tmp_path) == {"log": "new!" if there_is_a_new_one else "!", "log.by-logrotate": "old"}


def test_a_new_file_that_cannot_be_opened_gives_the_former_its_name_back(path, fd, tmp_path, monkeypatch):
    os.write(fd, b"now")
    real = os.open

    def full(name, flags, *mode):
        if flags & os.O_CREAT:
            raise OSError(28, "No space left on device")
        return real(name, flags, *mode)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(LogFileUnusable, match="no space left on device"):
        step_aside(path, fd, None, 3)
    assert contents(tmp_path) == {"log": "now"}


def test_a_name_that_is_a_link_is_rotated_beside_its_target(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "log"
    target.write_text("now")
    (tmp_path / "link").symlink_to(target)
    fd = os.open(tmp_path / "link", os.O_WRONLY)
    clock = RotationClock(Rotation(size=1), str(tmp_path / "link"), fd, 0.0)
    os.close(step_aside(clock.path, fd, None, 3))
    os.close(fd)
    assert contents(tmp_path / "real") == {"log": "", "log.1": "now"}
    assert (tmp_path / "link").is_symlink()
