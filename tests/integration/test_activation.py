"""Sockets that systemd passes (LISTEN_FDS): by name, in place of `bind`, and kept open for the next server."""

import signal
import sys
from collections.abc import Callable

import pytest

from tests.integration.client import Client
from tests.integration.given import Given
from tests.integration.harness import Server, bind_value
from tests.integration.load import Load
from tests.integration.masters import Masters, environment_of, masters
from tests.integration.processes import children_of
from tests.integration.proxy import find_tool

__all__ = ["masters"]

ORIGINS = "_OSTLER_FD_ORIGINS"


def test_names_of_systemd_choose_a_socket(make_server: Callable[..., Server]) -> None:
    server = make_server()
    with Given(2, names=["admin", "web"]) as given:
        command = [*given.prefix, sys.executable, "-m", "ostler", "-b", "fd://web", "-b", bind_value(server.address)]
        server.launch([*command, "contract:application"], {}, server.home)
        given.hand_over()
        server.wait_ready(1)
        with Client(given.addresses[1]) as client:
            assert client.get("/").status == 200
        assert server.get("/").status == 200
        assert "no bind entry asks for" in server.log()
        assert "admin" in server.log()


def test_sockets_of_systemd_stand_in_for_bind(make_server: Callable[..., Server]) -> None:
    server = make_server()
    with Given(2, names=["admin", "web"]) as given:
        server.start("contract:application", prefix=given.prefix)
        given.hand_over()
        server.wait_ready()
        for address in given.addresses:
            with Client(address) as client:
                assert client.get("/").status == 200
        with pytest.raises(ConnectionRefusedError):
            server.client()


@pytest.mark.parametrize(
    ("kind", "way"), [("sync", "stop"), ("gthread", "stop"), ("sync", "quick stop"), ("gthread", "usr2")]
)
def test_activated_server_is_replaced_without_a_lost_connection(
    make_server: Callable[..., Server], masters: Masters, kind: str, way: str
) -> None:
    """systemctl restart: who connects in between waits in systemd's socket."""
    server = make_server()
    with Given(2, names=["tcp", "unix"]) as given:

        def start() -> None:
            server.start("contract:application", kind=kind, prefix=given.prefix)
            given.hand_over()
            server.wait_ready(since=since)

        since = 0
        start()
        with (
            Load(given.addresses[0], clients=3, keep_alive=False) as tcp,
            Load(given.addresses[1], clients=3, keep_alive=False) as unix,
        ):
            for _ in range(2):
                tcp.wait_for(20)
                since = server.log_end()
                if way == "usr2":
                    current = masters.succeed(server, masters.pids[-1] if masters.pids else None)
                elif way == "stop":
                    assert server.stop() == 0
                    start()
                else:
                    assert server.stop(signal.SIGQUIT) == 0
                    start()
                unix.wait_for(20)
        print(tcp.tally, unix.tally)
        for load in (tcp, unix):
            assert not load.tally.refused
            if way != "quick stop":
                load.tally.assert_nothing_failed()
        if way == "usr2":
            with Client(given.addresses[0]) as client:
                assert int(client.get("/pid").text) in children_of(current)
            masters.end(current)
        else:
            assert server.stop() == 0
        assert given.still_listen()
        assert given.files() == {"1"}


def test_a_socket_that_is_not_wanted_any_more_is_forgotten(
    make_server: Callable[..., Server], masters: Masters
) -> None:
    """Nothing is said of it to later masters, who may have something else at its number."""
    server = make_server("unix")
    config = server.home / "ostler.conf.py"
    with Given() as given:
        config.write_text(f"bind = ['fd://3', '{bind_value(server.address)}']\n")
        server.launch([*given.prefix, sys.executable, "-m", "ostler", "contract:application"], {}, server.home)
        given.hand_over()
        server.wait_ready(1)
        config.write_text(f"bind = '{bind_value(server.address)}'\n")
        second = masters.succeed(server)
        assert ORIGINS in environment_of(second)
        third = masters.succeed(server, second)
        assert ORIGINS not in environment_of(third)
        assert server.get("/").status == 200
        assert given.still_listen()


def test_real_socket_activation(make_server: Callable[..., Server]) -> None:
    activate = find_tool("systemd-socket-activate")
    server = make_server()
    assert not isinstance(server.address, str)
    kept = ("PYTHONPATH", "CONTRACT_DIR", "SPT_NOENV", "PYTHONUNBUFFERED", server.mark_text.partition("=")[0])
    command = [activate, "-l", bind_value(server.address), "--fdname=web"]
    command += [f"--setenv={name}" for name in kept]
    command += [sys.executable, "-m", "ostler", "-b", "fd://web", "contract:application"]
    server.launch(command, {}, server.home)
    server.wait_log("Listening on")
    assert server.get("/").status == 200, "the connection that started the server is answered"
    assert server.get("/").status == 200
    server.wait_log("sockets of systemd are used .*web=")
