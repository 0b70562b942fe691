"""Every kind of address: at the start, given by systemd, added and removed by HUP, without a lost connection."""

import os
import shutil
import signal
import socket
import stat
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.client import Client, request_bytes
from tests.integration.given import Given
from tests.integration.harness import Server, bind_value, free_port
from tests.integration.inflight import InFlight
from tests.integration.load import Load
from tests.integration.masters import Masters, masters
from tests.integration.processes import children_of
from tests.integration.waiting import wait_until

__all__ = ["masters"]

NOBODY = 65534
# Imports nothing that is not there already: the interpreter's files may be hidden from nobody.
PLAIN = """
import os
def application(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
KINDS = ["tcp", "ipv6", "unix", "abstract"]


class Place:
    """An address that is not the server's first one: how `bind` says it, and how to get there."""

    def __init__(self, kind: str, home: Path) -> None:
        self.file: Path | None = None
        self.family = socket.AF_UNIX
        self.where: tuple[str, int] | str
        match kind:
            case "tcp":
                self.family, self.where = socket.AF_INET, ("127.0.0.1", free_port())
                self.bind = bind_value(self.where)
            case "ipv6":
                self.family, self.where = socket.AF_INET6, ("::1", free_port())
                self.bind = f"[::1]:{self.where[1]}"
            case "unix":
                self.file = home / "other.sock"
                self.where = str(self.file)
                self.bind = f"unix:{self.file}"
            case _:
                name = f"ostler-test-{uuid.uuid4().hex}"
                self.where, self.bind = f"\0{name}", f"unix:@{name}"

    def connect(self) -> Client:
        if self.family != socket.AF_INET6:
            return Client(self.where)
        client = Client.__new__(Client)
        client.socket, client.buffer, client.ended = socket.create_connection(self.where[:2], 20), bytearray(), False
        return client

    def get(self, target: str = "/pid") -> str:
        with self.connect() as client:
            response = client.get(target)
        assert response.status == 200
        return response.text

    def refuses(self) -> bool:
        """Nobody is there at all. A connection that is made and cut would be a lost one."""
        try:
            client = self.connect()
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        with client:
            assert client.get("/pid").status == 200
        return False


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(str(request.param), tmp_path)


class Bound:
    """A server whose file names its addresses; `bind` rewrites it."""

    def __init__(self, server: Server, kind: str = "sync", workers: int = 1) -> None:
        self.server = server
        self.config = server.home / "ostler.conf.py"
        self.rest = f"workers = {workers}\nworker_class = '{kind}'\nthreads = {4 if kind == 'gthread' else 1}\n"
        self.workers = workers
        self.first = bind_value(server.address)

    def write(self, *addresses: str, more: str = "") -> None:
        self.config.write_text(f"bind = {list(addresses)!r}\n{self.rest}{more}")

    def launch(self, *addresses: str, more: str = "") -> None:
        self.write(*addresses, more=more)
        self.server.launch([sys.executable, "-m", "ostler", "contract:application"], {}, self.server.home)
        self.server.wait_ready(self.workers)

    def reload(self, *addresses: str, more: str = "") -> int:
        self.write(*addresses, more=more)
        since = self.server.log_end()
        self.server.send_signal(signal.SIGHUP)
        return since


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


@pytest.mark.parametrize("way", ["stop", "quick stop", "usr2"])
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


def test_real_socket_activation(make_server: Callable[..., Server]) -> None:
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("systemd-socket-activate is not installed")
    server = make_server()
    assert not isinstance(server.address, str)
    kept = ("PYTHONPATH", "CONTRACT_DIR", "SPT_NOENV", "PYTHONUNBUFFERED", server.mark_text.partition("=")[0])
    command = ["systemd-socket-activate", "-l", bind_value(server.address), "--fdname=web"]
    command += [f"--setenv={name}" for name in kept]
    command += [sys.executable, "-m", "ostler", "-b", "fd://web", "contract:application"]
    server.launch(command, {}, server.home)
    server.wait_log("Listening on")
    assert server.get("/").status == 200, "the connection that started the server is answered"
    assert server.get("/").status == 200
    server.wait_log("sockets of systemd are used .*web=")


def test_descriptor_that_is_not_there_is_an_error(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.launch([sys.executable, "-m", "ostler", "-b", "fd://9", "contract:application"], {}, server.home)
    assert server.wait_exit() == 1
    assert "fd://9" in server.log()
