"""What gevent and eventlet replace is taken from real.py: nothing of ours becomes green in a patched process."""

import ast

import pytest

from tests.architecture.test_imports import our_sources

REPLACED = {
    "_thread": {"allocate_lock", "start_new_thread"},
    "os": {"fork", "read", "waitpid", "write"},
    "select": {"epoll", "poll"},
    "socket": {"create_connection", "getaddrinfo", "socketpair"},
    "threading": {"Condition", "Event", "Lock", "RLock", "Semaphore", "Thread", "Timer"},
    "time": {"sleep"},
}
ALLOWED = {
    "ostler.app.asgi_call": "reads files, of which nothing is replaced",
    "ostler.compat.glogging": "a lock that applications use",
    "ostler.compat.package.sock": "waits as the program that calls it does",
    "ostler.compat.workers.base": "waits as the loop of a user's class does",
}


def taken(source: str) -> list[str]:
    """Each call, or binding at import, of a replaced name, also of `_socket` for `socket`; annotations take nothing."""
    found = []
    for node in ast.walk(ast.parse(source)):
        used = node.func if isinstance(node, ast.Call) else node.value if isinstance(node, ast.Assign) else None
        match used:
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                known = {module, module.lstrip("_")} & REPLACED.keys()
                found += [f"{module}.{name} in line {used.lineno}" for each in known if name in REPLACED[each]]
            case _:
                pass
        if isinstance(node, ast.ImportFrom) and node.module in REPLACED:
            names = {alias.name for alias in node.names} & REPLACED[node.module]
            found += [f"{node.module}.{name} in line {node.lineno}" for name in sorted(names)]
    return found


def test_what_is_replaced_is_taken_from_its_home() -> None:
    sources = {name: source for name, source in our_sources().items() if name != "ostler.real"}
    users = {name: used for name, source in sources.items() if (used := taken(source))}
    assert {name: used for name, used in users.items() if name not in ALLOWED} == {}
    assert users.keys() == ALLOWED.keys(), "an exception that nobody needs"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import threading\nlock = threading.Lock()",
        "import select\n_poll = select.poll",
        "import socket as _socket\na, b = _socket.socketpair()",
        "from time import sleep",
    ],
)
def test_a_replaced_name_is_found(source: str) -> None:
    assert taken(source)


def test_an_annotation_takes_nothing() -> None:
    assert not taken("import threading\ndef f(lock: threading.Lock) -> threading.Thread: ...")
