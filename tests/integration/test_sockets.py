"""Every kind of address: at the start, and added and removed by HUP, without a lost connection."""

import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.client import Client, request_bytes
from tests.integration.given import Given
from tests.integration.harness import Server, bind_value
from tests.integration.inflight import InFlight
from tests.integration.lab import PLAIN
from tests.integration.load import Load
from tests.integration.masters import Masters, masters
from tests.integration.places import KINDS, Bound, Place
from tests.integration.waiting import wait_until

__all__ = ["masters"]

NOBODY = 65534


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(str(request.param), tmp_path)


@pytest.fixture
def bound(make_server: Callable[..., Server]) -> Bound:
    return Bound(make_server())


def test_every_kind_of_address_serves_at_once(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server()
    places = [Place(kind, tmp_path) for kind in KINDS]
    root = os.geteuid() == 0
    owner = ["--user", str(NOBODY), "--group", str(NOBODY)] if root else []
    with Given() as given:
        options = ["--umask", "0o117", *owner, "--bind", "fd://3"]
        for place in places:
            options += ["--bind", place.bind]
        server.home.chmod(0o755)
        (server.home / "plain.py").write_text(PLAIN)
        server.start("plain:application", options=options, prefix=given.prefix)
        given.hand_over()
        pids = set(map(str, server.wait_ready()))
        for place in places:
            assert place.get() in pids
            assert f"{place.bind}" in server.log()
        with Client(given.addresses[0]) as client:
            assert client.get("/pid").text in pids
        found = (tmp_path / "other.sock").stat()
        assert stat.S_IMODE(found.st_mode) == 0o660
        assert (found.st_uid, found.st_gid) == ((NOBODY, NOBODY) if root else (os.getuid(), os.getgid()))
        assert server.stop() == 0
        assert all(place.refuses() for place in places)
        assert not list(tmp_path.iterdir()), "the socket's file and its lock are gone"
        assert given.still_listen()


def test_hup_adds_and_removes_an_address(bound: Bound, place: Place) -> None:
    bound.launch(bound.first)
    server = bound.server
    with Load(server.address, clients=4) as load:
        since = bound.reload(bound.first, place.bind)
        server.wait_log("reload complete", since)
        assert place.get() in map(str, server.worker_pids())
        load.wait_for(20)
        since = bound.reload(bound.first)
        server.wait_log("reload complete", since)
        wait_until(place.refuses, "nobody is at the removed address")
        load.wait_for(20)
    load.tally.assert_nothing_failed()
    assert place.file is None or not place.file.exists()


@pytest.mark.parametrize(("kind", "workers"), [("sync", 1), ("gthread", 2)])
def test_removed_address_empties_its_queue(
    make_server: Callable[..., Server], place: Place, kind: str, workers: int
) -> None:
    """Whole requests wait in the kernel's queue of the address that goes, and of the one that stays."""
    server = make_server()
    bound = Bound(server, kind, workers)
    bound.launch(bound.first, place.bind)
    running = [InFlight(server, 300) for _ in range(workers * (4 if kind == "gthread" else 1))]
    waiting = [place.connect() for _ in range(20)] + [server.client() for _ in range(5)]
    for client in waiting:
        client.send(request_bytes("GET", "/pid"))
    since = bound.reload(bound.first)
    for each in running:
        assert each.join().status == 200
    for client in waiting:
        assert client.read_response().status == 200
        client.close()
    server.wait_log("reload complete", since)
    wait_until(place.refuses, "nobody is at the removed address")
    assert server.get("/").status == 200


def test_there_is_always_an_address_that_answers(bound: Bound, place: Place) -> None:
    """One address takes the place of another: the new one listens before the old one goes."""
    former = Place("tcp", bound.server.home)
    bound.launch(former.bind)
    since = bound.reload(place.bind)
    while not former.refuses():
        pass
    assert not place.refuses()
    bound.server.wait_log("reload complete", since)


@pytest.mark.parametrize("promoted", [False, True])
@pytest.mark.parametrize("place", ["tcp", "unix"], indirect=True)
def test_removed_address_refuses_although_its_last_worker_is_busy(
    bound: Bound, masters: Masters, place: Place, promoted: bool
) -> None:
    """A client that would be let in there now would wait for the worker's end, and be cut then."""
    bound.launch(bound.first, place.bind)
    server = bound.server
    master = masters.succeed(server) if promoted else server.master
    running = InFlight(server, 1000)
    bound.write(bound.first)
    since = server.log_end()
    os.kill(master, signal.SIGHUP)
    server.wait_log("reload complete", since)
    wait_until(place.refuses, "nobody is at the removed address")
    assert running.response is None, "the long request still runs"
    assert running.join().status == 200


def test_descriptor_is_added_by_hup(make_server: Callable[..., Server]) -> None:
    server = make_server()
    config = server.home / "ostler.conf.py"
    config.write_text(f"bind = '{bind_value(server.address)}'\n")
    with Given(2) as given:
        server.launch([*given.prefix, sys.executable, "-m", "ostler", "contract:application"], {}, server.home)
        given.hand_over()
        server.wait_ready(1)
        config.write_text(f"bind = ['fd://3', 'fd://4', '{bind_value(server.address)}']\n")
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload complete", since)
        for address in given.addresses:
            with Client(address) as client:
                assert client.get("/").status == 200
        assert server.stop() == 0
        assert given.still_listen()
        assert given.files() == {"1"}


def test_descriptor_that_is_not_there_is_an_error(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.launch([sys.executable, "-m", "ostler", "-b", "fd://9", "contract:application"], {}, server.home)
    assert server.wait_exit() == 1
    assert "fd://9" in server.log()
