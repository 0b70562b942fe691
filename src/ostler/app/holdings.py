"""What this process holds that a fork would share: open event loops, connections of known libraries, open sockets.

Libraries are known by the names of their classes, looked up among what is imported; nothing is imported for that. Their
objects are found with gc.get_objects, so none that gc.freeze has set aside (what was there before the mold loaded the
application is). Sockets that no library's object accounts for are found as descriptors (/proc/self/fd, proc(5)).

Rules for editing: what a library calls its attributes changes; what is asked for and is not there means that the object
holds nothing. Nothing is reported that a fork does not harm: closed objects, pools without a connection, datagram
sockets (each message is whole, and those that are open at import are senders), databases in memory.
"""

import gc
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from ostler.app.makers import UNKNOWN, Maker

_Socket = socket.socket

SocketKey = int
"""The inode of a socket: other than its number, it is not used again as long as the socket lives."""


@dataclass(frozen=True, slots=True)
class Held:
    """One thing. what: in words. library: the top-level package that it belongs to. target: the object that a variable
    of the application may lead to. fds: of sockets that are a part of it. parts: ids of objects that are told of with
    it. loop: an event loop; otherwise connections.
    """

    what: str
    library: str
    target: object
    fds: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()
    loop: bool = False


def held() -> list[Held]:
    """Open loops and connections. Never raises because of a strange object: it is passed over."""
    kinds = _kinds()
    if not kinds:
        return []
    by_type: dict[int, Callable[[Any], Held | None] | None] = {}
    found: list[Held] = []
    owners: set[int] = set()
    parts: set[int] = set()
    for each in gc.get_objects():
        kind = type(each)
        look = by_type.get(id(kind), _UNSEEN)
        if look is _UNSEEN:
            look = by_type[id(kind)] = _look_for(kind, kinds)
        if look is None:
            continue
        try:
            thing = look(each)
        except Exception:  # noqa: BLE001  another version of the library, or a user's subclass: nothing is known of it
            continue
        if thing is not None:
            parts.update(thing.parts)
            if id(thing.target) not in owners:
                owners.add(id(thing.target))
                found.append(thing)
    return [thing for thing in found if id(thing.target) not in parts]


def library(module: str) -> dict[str, Any]:
    """What a module has, by name; nothing when it is not imported. Other than with getattr, a lazy one stays so."""
    known = sys.modules.get(module)
    if not issubclass(type(known), ModuleType):
        return {}  # anything can stand there
    found: dict[str, Any] = object.__getattribute__(known, "__dict__")
    return found


def sockets_here() -> dict[SocketKey, int]:
    """Sockets of this process that a fork would share: a descriptor of each. Empty where there is no /proc."""
    found: dict[SocketKey, int] = {}
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return {}
    for name in names:
        try:
            key = socket_key(int(name))
        except ValueError:
            continue
        if key is not None:
            found[key] = int(name)
    return found


def socket_key(fd: int) -> SocketKey | None:
    """None: there is no such descriptor, or it is no socket."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_ino if stat.S_ISSOCK(status.st_mode) else None


def describe_socket(fd: int) -> str | None:
    """In words; None when sharing it does no harm."""
    try:
        with _Socket(fileno=os.dup(fd)) as sock:
            if sock.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                return None
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return f"a socket that listens on {_address(sock.getsockname())}"
            try:
                return f"a connection to {_address(sock.getpeername())}"
            except OSError:
                return "a socket"
    except OSError:
        return None


def _address(name: object) -> str:
    match name:
        case (str(host), int(port), *_):
            return f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
        case str() | bytes() if name:
            return os.fsdecode(name).replace("\0", "@")
    return "another end in this process"


# -- libraries


def _loop(loop: Any) -> Held | None:
    if loop.is_closed():
        return None
    state = "a running event loop" if loop.is_running() else "an event loop"
    parts = [getattr(loop, name, None) for name in ("_ssock", "_csock")]
    fds = tuple(part.fileno() for part in parts if part is not None)
    return Held(f"{state} ({type(loop).__module__.partition('.')[0]})", "asyncio", loop, fds, loop=True)


def _sqlalchemy(record: Any) -> Held | None:
    connection = record.dbapi_connection
    if connection is None or _in_memory(connection):
        return None
    pool = getattr(record, "_ConnectionRecord__pool", record)
    driver = type(connection).__module__.partition(".")[0]
    what = f"open connections of an SQLAlchemy engine ({driver})"
    return Held(what, "sqlalchemy", pool, _fds_of(connection), (id(connection),))


def _sqlite(connection: Any) -> Held | None:
    return None if _in_memory(connection) else Held("an open SQLite database", "sqlite3", connection)


def _in_memory(connection: Any) -> bool:
    """Whether it is a connection of sqlite3 to nothing outside of this process, or closed."""
    known = sys.modules.get("sqlite3")
    if known is None or not issubclass(type(connection), known.Connection):
        return False
    try:
        rows = known.Connection.execute(connection, "PRAGMA database_list").fetchall()
    except known.ProgrammingError as error:
        return "closed" in str(error)  # else another thread's: it may be any
    return not any(row[2] for row in rows)


def _psycopg(connection: Any) -> Held | None:
    if connection.closed:
        return None
    return Held("an open connection of psycopg", "psycopg", connection, _fds_of(connection))


def _psycopg2(connection: Any) -> Held | None:
    if connection.closed:
        return None
    return Held("an open connection of psycopg2", "psycopg2", connection, _fds_of(connection))


def _psycopg_pool(pool: Any) -> Held | None:
    if pool.closed:
        return None
    connections = list(pool._pool)
    fds = tuple(fd for each in connections for fd in _fds_of(each))
    return Held("an open pool of psycopg_pool", "psycopg_pool", pool, fds, tuple(map(id, connections)))


def _mysql(connection: Any) -> Held | None:
    if not connection.open:
        return None
    return Held("an open connection of MySQLdb", "MySQLdb", connection, _fds_of(connection))


def _redis(pool: Any) -> Held | None:
    connections = [*pool._available_connections, *pool._in_use_connections]
    fds = tuple(each._sock.fileno() for each in connections if each._sock is not None)
    return Held("open connections of a redis client", "redis", pool, fds) if fds else None


def _mongo(client: Any) -> Held | None:
    topology = client._topology
    return Held("an open client of pymongo", "pymongo", client) if topology._opened and not topology._closed else None


def _urllib3(pool: Any) -> Held | None:
    connections = [each for each in list(pool.pool.queue) if each is not None] if pool.pool is not None else []
    fds = tuple(each.sock.fileno() for each in connections if each.sock is not None)
    what = f"open connections of urllib3 (requests) to {pool.host}"
    return Held(what, "urllib3", pool, fds) if fds else None


def _grpc(channel: Any) -> Held | None:
    try:
        channel._channel.check_connectivity_state(False)
    except ValueError:  # closed
        return None
    return Held("a gRPC channel", "grpc", channel)


_LIBRARIES: Final[tuple[tuple[str, str, Callable[[Any], Held | None]], ...]] = (
    ("asyncio.base_events", "BaseEventLoop", _loop),
    ("uvloop.loop", "Loop", _loop),
    ("sqlalchemy.pool.base", "_ConnectionRecord", _sqlalchemy),
    ("sqlite3", "Connection", _sqlite),
    ("psycopg._connection_base", "BaseConnection", _psycopg),
    ("psycopg2.extensions", "connection", _psycopg2),
    ("psycopg_pool.base", "BasePool", _psycopg_pool),
    ("MySQLdb.connections", "Connection", _mysql),
    ("redis.connection", "ConnectionPool", _redis),
    ("pymongo.synchronous.mongo_client", "MongoClient", _mongo),
    ("pymongo.asynchronous.mongo_client", "AsyncMongoClient", _mongo),
    ("urllib3.connectionpool", "HTTPConnectionPool", _urllib3),
    ("grpc._channel", "Channel", _grpc),
)


def _unseen(_thing: Any) -> None:
    return None


_UNSEEN: Final[Callable[[Any], Held | None]] = _unseen


def _kinds() -> dict[int, Callable[[Any], Held | None]]:
    """By id of the class; of the libraries that are imported."""
    found = {}
    for module, name, look in _LIBRARIES:
        kind = library(module).get(name)
        if kind is not None:
            found[id(kind)] = look
    return found


def _look_for(kind: type, kinds: dict[int, Callable[[Any], Held | None]]) -> Callable[[Any], Held | None] | None:
    try:
        bases = type.mro(kind) if type(kind) is type else kind.__mro__
    except Exception:  # noqa: BLE001  a metaclass with ideas of its own
        return None
    return next((kinds[id(base)] for base in bases if id(base) in kinds), None)


def _fds_of(connection: Any) -> tuple[int, ...]:
    try:
        return (int(connection.fileno()),)
    except Exception:  # noqa: BLE001  sqlite3 has none; others may have lost theirs
        return ()


def through_library(maker: Maker, libraries: set[str]) -> bool:
    """Whether one of these made it."""
    return maker is not UNKNOWN and not libraries.isdisjoint(maker.packages)


def selectors_here() -> Iterator[int]:
    """epoll descriptors of this process; none where there is no /proc."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return
    for name in names:
        try:
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]":
                yield int(name)
        except OSError:
            continue
