"""The environment as systemd leaves it, as somebody broke it; and a service manager that is only a socket."""

import socket
from pathlib import Path

import pytest

from ostler.errors import ConfigError
from ostler.process.systemd import (
    Activated,
    listen_fds,
    meant_for_another,
    notify,
    watchdog_s,
    watches_another,
)

PID = 4242


def test_sockets_are_numbered_from_three_and_named() -> None:
    environ = {"LISTEN_PID": "4242", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:admin", "HOME": "/root"}
    assert listen_fds(environ, PID) == (Activated(3, "web"), Activated(4, "admin"))
    assert environ == {"HOME": "/root"}


@pytest.mark.parametrize(
    ("count", "names", "expected"),
    [
        ("1", None, ["unknown"]),
        ("1", "", ["unknown"]),
        ("2", "web", ["web", "unknown"]),
        ("3", "web::web", ["web", "unknown", "web"]),
        ("1", "web:admin", ["web"]),
        ("0", "", []),
    ],
)
def test_socket_without_a_name_is_unknown(count: str, names: str | None, expected: list[str]) -> None:
    environ = {"LISTEN_PID": "4242", "LISTEN_FDS": count} | ({} if names is None else {"LISTEN_FDNAMES": names})
    assert [each.name for each in listen_fds(environ, PID)] == expected


@pytest.mark.parametrize("pid", ["", "1", "04242x", "\N{ARABIC-INDIC DIGIT FOUR}242"])
def test_sockets_of_another_process_are_left_alone(pid: str) -> None:
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    before = dict(environ)
    assert listen_fds(environ, PID) == ()
    assert environ == before


def test_no_activation_is_no_socket() -> None:
    assert listen_fds({}, PID) == ()
    assert listen_fds({"LISTEN_PID": "4242"}, PID) == ()


@pytest.mark.parametrize("count", ["two", "-1", "", "99999999", "65537"])
def test_count_that_is_none_is_refused_with_a_cure(count: str) -> None:
    with pytest.raises(ConfigError, match="unset LISTEN_PID and LISTEN_FDS") as caught:
        listen_fds({"LISTEN_PID": "4242", "LISTEN_FDS": count}, PID)
    assert f'LISTEN_FDS: expected the number of sockets that systemd passes, got "{count}"' in str(caught.value)


def test_sockets_that_a_wrapper_did_not_pass_on_are_noticed() -> None:
    assert meant_for_another({"LISTEN_PID": "41", "LISTEN_FDS": "1"}, PID) == "41"
    assert meant_for_another({"LISTEN_PID": "4242", "LISTEN_FDS": "1"}, PID) is None
    assert meant_for_another({"LISTEN_PID": "41", "LISTEN_FDS": "0"}, PID) is None
    assert meant_for_another({}, PID) is None


@pytest.mark.parametrize("abstract", [False, True])
def test_manager_hears(tmp_path: Path, abstract: bool) -> None:
    path = str(tmp_path / "notify")[-100:] if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        try:
            manager.bind("\0" + path if abstract else path)
        except OSError:
            pytest.skip("only Linux has abstract sockets")
        manager.settimeout(2)
        assert notify("READY=1\nSTATUS=serving", {"NOTIFY_SOCKET": "@" + path if abstract else path})
        assert manager.recv(100) == b"READY=1\nSTATUS=serving"


def test_manager_that_does_not_listen_fails_nobody(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        environ = {"NOTIFY_SOCKET": str(path)}
        while notify("STATUS=" + "x" * 8192, environ):
            pass  # until its queue is full: the next one neither waits nor raises
    assert not notify("READY=1", environ)


@pytest.mark.parametrize("where", ["", "vsock:2:1234", "relative", "/" + "x" * 200, "/no/such", "/a\0b", "/\udcff"])
def test_address_that_cannot_be_used_fails_nobody(where: str) -> None:
    assert not notify("READY=1", {"NOTIFY_SOCKET": where})


def test_text_that_cannot_be_sent_fails_nobody(tmp_path: Path) -> None:
    assert not notify("STATUS=\udcff", {"NOTIFY_SOCKET": str(tmp_path / "notify")})


def test_without_a_manager_nothing_is_sent() -> None:
    assert not notify("READY=1", {})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": ""}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 30}, None),
        ({"WATCHDOG_PID": "7"}, None),
        ({}, None),
    ],
)
def test_watchdog_is_for_the_process_that_it_names(environ: dict[str, str], expected: float | None) -> None:
    assert watchdog_s(environ, 7) == expected
    assert watches_another(environ, 7) == ("8" if environ.get("WATCHDOG_PID") == "8" else None)


def test_watchdog_goes_on_with_the_heir_of_the_process_that_it_names() -> None:
    assert watchdog_s({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, 7, heir=True) == 0.5
