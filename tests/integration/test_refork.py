"""refork_after: a worker that has served becomes the mold, what it has cached is there in all later workers, and nobody
who asks notices. One that cannot become a mold leaves, with a reason in the log.
"""

import json
import re
from collections.abc import Callable

from tests.integration.client import Response
from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.waiting import wait_until

APP = """
import json, os, threading
from contract import note

cache = {}

def application(environ, start_response):
    cache.setdefault("filled_by", os.getpid())
    @MORE@
    body = json.dumps({"pid": os.getpid(), "parent": os.getppid(), **cache}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
HOOKS = """
import atexit, os
from contract import note

def post_fork(server, worker):
    note("forked", worker.pid)

def post_worker_init(worker):
    atexit.register(lambda: note("left", os.getpid()))

def worker_exit(server, worker):
    note("exits", worker.pid)

def child_exit(server, worker):
    note("gone", worker.pid)
"""


def started(serve: Callable[..., Server], after: str, *, more: str = "pass", workers: int = 3) -> Server:
    return serve(
        "shop:application",
        workers=workers,
        files={"shop.py": APP.replace("@MORE@", more)},
        config=HOOKS,
        options=["--preload", "--refork-after", after],
    )


def filled_by_one(server: Server, pid: int, workers: list[int]) -> bool:
    """Whether each of these workers answers, from what that process had cached."""
    unheard = set(workers)

    def all_heard() -> bool:
        answer = json.loads(server.get("/").body)
        assert answer["filled_by"] == pid
        assert answer["parent"] == server.master
        unheard.discard(answer["pid"])
        return not unheard

    return wait_until(all_heard, f"workers {unheard} answer")


def test_what_a_warm_worker_has_cached_is_shared_by_all(serve: Callable[..., Server]) -> None:
    server = started(serve, "20,0")
    first = server.wait_ready()
    with Load(server.address, clients=6, target="/", pause_s=0.005) as load:
        promoted = int(server.wait_log(r"refork begins gen=1 pid=(\d+) requests=\d+ ")[0][1])
        server.wait_log(r"refork complete gen=1 workers=3 ")
        load.wait_for(200)
    load.tally.assert_nothing_failed()
    assert promoted in first
    assert re.search(rf"mold ready gen=1 pid={promoted} ", server.log())
    ready = server.wait_ready(count=7)
    assert promoted not in ready[3:]
    living = [pid for pid in server.worker_pids() if pid != promoted]
    assert len(living) == 3
    filled_by_one(server, promoted, living)

    # The others of the first ones have left; it has not, though nobody asks it any more.
    wait_until(lambda: len(server.notes("exits")) >= 3, "the former workers have left")
    assert str(promoted) in server.notes("gone")
    assert server.stop() == 0
    assert str(promoted) not in server.notes("exits") + server.notes("left")
    assert sorted(server.notes("forked")) == sorted(map(str, ready))
    assert set(server.notes("exits")) == set(server.notes("left")) == set(server.notes("forked")) - {str(promoted)}


def test_one_refork_after_the_other_loses_nothing(serve: Callable[..., Server]) -> None:
    """Also of the stack's depth: each generation of workers runs on top of the former one's."""
    more = "deep = lambda n: n and deep(n - 1)\n    deep(930)"
    server = started(serve, "5", more=more, workers=1)

    def answered(response: Response) -> bool:
        return response.status == 200

    with Load(server.address, clients=2, target="/", pause_s=0.005, accept=answered) as load:
        server.wait_log(r"refork complete gen=1 workers=1 ", count=3)
    load.tally.assert_nothing_failed()
    molds = re.findall(r"mold ready gen=1 pid=(\d+)", server.log())
    assert len(set(molds)) == len(molds) >= 4


def test_a_worker_with_a_thread_leaves_with_a_reason(serve: Callable[..., Server]) -> None:
    thread = 'threading.Thread(target=threading.Event().wait, name="reporter", daemon=True).start()'
    more = f"threading.active_count() > 2 or {thread}"
    server = started(serve, "20", more=more, workers=2)
    with Load(server.address, clients=4, target="/", pause_s=0.005) as load:
        refused = server.wait_log(r"refork refused gen=1 pid=(\d+) reason=\"([^\"]+)\"")[0]
        load.wait_for(100)
        wait_until(lambda: refused[1] in server.notes("exits"), "it has left")
    load.tally.assert_nothing_failed()
    assert refused[2] == "it has threads, which workers would lack: reporter"
    assert len(re.findall(r"mold ready", server.log())) == 1
