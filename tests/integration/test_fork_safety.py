"""The fork-safety report and the libraries that it knows, the real ones, in a process that imports an application.

Against a server that answers HTTP and, as far as a PING, Redis.
"""

import importlib.util
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

Report = dict[str, list[dict[str, str]]]

# By library: a module of the application. `held` must be reported, and nothing else.
APPLICATION = {
    "sqlalchemy": """
import sqlalchemy
idle = sqlalchemy.create_engine("sqlite:///idle.db")
memory = sqlalchemy.create_engine("sqlite://")
memory.connect().close()
disposed = sqlalchemy.create_engine("sqlite:///disposed.db")
disposed.connect().close()
disposed.dispose()
class Database:
    def __init__(self):
        self.engine = sqlalchemy.create_engine("sqlite:///held.db")
        self.engine.connect().close()
held = Database()
""",
    "requests": """
import os, requests
with requests.Session() as closed:
    closed.get(os.environ["PEER_URL"])
session = requests.Session()
session.get(os.environ["PEER_URL"])  # held
""",
    "redis": """
import os, redis
idle = redis.Redis(port=int(os.environ["PEER_PORT"]))
disconnected = redis.Redis(port=int(os.environ["PEER_PORT"]), protocol=2)
disconnected.ping()
disconnected.connection_pool.disconnect()
held = redis.Redis(port=int(os.environ["PEER_PORT"]), protocol=2)
held.ping()
""",
    "grpc": """
import grpc
closed = grpc.insecure_channel("127.0.0.1:1")
closed.close()
held = grpc.insecure_channel("127.0.0.1:1")
""",
    "numpy": """
import numpy
product = numpy.ones((200, 200)) @ numpy.ones((200, 200))  # starts the threads of OpenBLAS, which forks do not harm
""",
    "pymongo": """
import pymongo
unconnected = pymongo.MongoClient("mongodb://127.0.0.1:1/", connect=False)
held = pymongo.MongoClient("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=10)
""",
}
EXPECTED = {
    "sqlalchemy": ["open connections of an SQLAlchemy engine (sqlite3)"],
    "requests": ["open connections of urllib3 (requests) to 127.0.0.1"],
    "redis": ["open connections of a redis client"],
    "grpc": ["a gRPC channel"],
    "numpy": [],
    "pymongo": [
        "an open client of pymongo",
        "thread pymongo_kill_cursors_thread",
        "thread pymongo_server_monitor_thread",
    ],
}
INSTALLED = [name for name in APPLICATION if importlib.util.find_spec(name) is not None]

WATCH = """
import json, os, sys
from ostler.app.fork_safety import ImportWatch
from ostler.app.loader import load_app
from ostler.process.threads import native_threads
watch = ImportWatch("wsgi", native_threads)
with watch:
    load_app("wsgi")
found = watch.findings()
print(json.dumps([{"what": f.what, "module": f.maker.module, "place": f.maker.place, "line": f.line} for f in found]))
sys.stdout.flush()
os._exit(0)
"""


class Peer(socketserver.StreamRequestHandler):
    """Answers until the other end has enough."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            if line.startswith(b"*"):
                self.answer_redis(int(line[1:]))
            elif line == b"\r\n":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def answer_redis(self, count: int) -> None:
        words = []
        for _ in range(count):
            size = int(self.rfile.readline()[1:])
            words.append(self.rfile.read(size + 2)[:-2])
        self.wfile.write(b"+PONG\r\n" if words[0].upper() == b"PING" else b"+OK\r\n")


@pytest.fixture(scope="module")
def peer_port() -> Iterator[int]:
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Peer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, peer_port: int) -> Report:
    """What is said of one application with all of the modules, by module; under "" what is of none."""
    home = tmp_path_factory.mktemp("application")
    for name in INSTALLED:
        (home / f"with_{name}.py").write_text(APPLICATION[name])
    imports = "\n".join(f"import with_{name}" for name in INSTALLED)
    (home / "wsgi.py").write_text(imports + "\ndef application(environ, start_response):\n    return []\n")
    environment = {**os.environ, "PEER_PORT": str(peer_port), "PEER_URL": f"http://127.0.0.1:{peer_port}/"}
    environment["PYTHONPATH"] = str(home)
    done = subprocess.run(
        [sys.executable, "-c", WATCH], env=environment, cwd=home, capture_output=True, timeout=30, check=True, text=True
    )
    found: Report = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["module"].removeprefix("with_"), []).append(finding)
    return found


@pytest.mark.parametrize("library", list(APPLICATION))
def test_a_library_s_connections_are_named_and_what_it_has_closed_is_not(report: Report, library: str) -> None:
    if library not in INSTALLED:
        reason = f"{library} is not installed; it is in the extra dev"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    found = report.get(library, [])
    assert sorted(each["what"] for each in found) == EXPECTED[library]
    wanted = [number for number, line in enumerate(APPLICATION[library].split("\n"), 1) if "held" in line]
    for each in found:
        file, _, line = each["place"].rpartition(":")
        assert Path(file).name == f"with_{library}.py"
        assert int(line) in wanted


def test_there_is_nothing_else(report: Report) -> None:
    assert "" not in report, report[""]
    assert report.keys() <= set(INSTALLED)
