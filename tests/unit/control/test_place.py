"""Where the control socket is, whose it is, and what is said when it cannot be."""

import os
import socket
import stat

import pytest

from ostler.config.control_path import default_control_socket
from ostler.config.settings import Settings
from ostler.control.place import NoPlace, Place, Wish, take_place

NOT_AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def test_the_default_path_is_gunicorns(tmp_path):
    (tmp_path / "run").mkdir()
    run, home = str(tmp_path / "run"), str(tmp_path)
    assert default_control_socket({"XDG_RUNTIME_DIR": run, "HOME": home}) == f"{run}/gunicorn.ctl"
    for runtime in ("", f"{run}/none", "run"):
        assert default_control_socket({"XDG_RUNTIME_DIR": runtime, "HOME": home}) == f"{home}/.gunicorn/gunicorn.ctl"
    assert default_control_socket({"HOME": f"{home}/none"}) is None


def test_what_is_wished_for_is_the_settings(tmp_path):
    environ = {"HOME": str(tmp_path)}
    assert Wish.of(Settings.defaults(control_socket_disable=True), environ) is None
    assert Wish.of(Settings.defaults(control_socket="/x"), environ) == Wish("/x", 0o600, True)
    default = Wish(f"{tmp_path}/.gunicorn/gunicorn.ctl", 0o640, False)
    assert Wish.of(Settings.defaults(control_socket_mode=0o640), environ) == default


@pytest.mark.parametrize(("mode", "admits"), [(0o600, False), (0o660, True), (0o602, True), (0o644, False)])
def test_a_place_has_its_mode_and_directories_of_its_own_are_closed(tmp_path, mode, admits):
    former = os.umask(0)  # a daemon's
    try:
        place = take_place(Wish(str(tmp_path / "a" / "b" / "x.ctl"), mode, True))
    finally:
        os.umask(former)
    assert isinstance(place, Place)
    assert place.admits is admits
    assert stat.S_IMODE(os.stat(place.path).st_mode) == mode
    assert [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("a", "a/b")] == [0o700, 0o700]
    place.socket.close()
    place.leave()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_the_place_of_a_server_that_lives_stays_and_of_a_dead_one_is_taken(tmp_path):
    path = str(tmp_path / "x.ctl")
    first = take_place(Wish(path, 0o600, False))
    second = take_place(Wish(path, 0o600, True))
    assert isinstance(second, NoPlace)
    assert (second.warns, "another server answers there; stop it or choose another path" in second.why) == (True, True)
    assert take_place(Wish(path, 0o600, False)).warns is False
    first.socket.close()  # as when it was killed
    third = take_place(Wish(path, 0o600, False))
    assert isinstance(third, Place)
    first.leave()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)  # the first one has not removed what is not its own
    third.socket.close()
    third.leave()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (None, "neither XDG_RUNTIME_DIR nor a home"),
        ("/proc/none/x.ctl", "no such file or directory; create its directory"),
        ("/dev/null/x.ctl", "not a directory|file exists"),
        ("/tmp/" + "x" * 200, "a socket path has at most"),
        ("/etc/hostname", "is not a socket; remove it"),
    ],
)
def test_what_cannot_be_used_is_told_and_raises_nothing(path, why):
    found = take_place(Wish(path, 0o600, True))
    assert isinstance(found, NoPlace)
    assert any(each in found.why for each in why.split("|"))


@NOT_AS_ROOT
def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    found = take_place(Wish(str(tmp_path / "x.ctl"), 0o600, True))
    assert "let the server's user write to its directory" in found.why
