"""preload_app: one import for all workers, in a process of its own, and everything else as without it."""

import ast
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ostler.process.memory import total_pss_bytes
from tests.integration.harness import APPS, Server
from tests.integration.load import Load
from tests.integration.processes import alive, children_of, kill, parent_of
from tests.integration.waiting import wait_until

APP = """
import os, random, signal, sys
from contract import note

note("imports", f"{os.getpid()} {os.getuid()}")
heard = []
signal.signal(signal.SIGHUP, lambda *_: heard.append("HUP"))
if hasattr(signal, "SIGCHLD"):
    signal.signal(signal.SIGCHLD, lambda *_: heard.append("CHLD"))
print("printed at import", end="")
VERSION = "@VERSION@"
@MORE@

def application(environ, start_response):
    found = {
        "version": VERSION,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "user": os.getuid(),
        "random": random.random(),
        "heard": heard,
        "directory": os.getcwd(),
        "variable": os.environ.get("FROM_RAW_ENV"),
    }
    body = repr(found).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def code(version: str = "1", more: str = "") -> str:
    return APP.replace("@VERSION@", version).replace("@MORE@", more)


def ask(server: Server) -> dict[str, object]:
    return dict(ast.literal_eval(server.get("/").body.decode()))


def ask_all(server: Server, pids: list[int]) -> dict[int, dict[str, object]]:
    """The answer of each of these workers."""
    found: dict[int, dict[str, object]] = {}

    def all_answered() -> bool:
        answer = ask(server)
        found[int(str(answer["pid"]))] = answer
        return set(pids) <= set(found)

    wait_until(all_answered, f"workers {pids} have answered")
    return found


def molds(server: Server, since: int = 0) -> list[int]:
    """Those that the log has seen ready, oldest first."""
    return [int(pid) for pid in re.findall(r"mold ready gen=\d+ pid=(\d+)", server.log(since))]


def workers_of(server: Server) -> list[int]:
    """The living children of the master but for its molds."""
    begun = {int(pid) for pid in re.findall(r"mold booting gen=\d+ pid=(\d+)", server.log())}
    return [pid for pid in server.worker_pids() if pid not in begun]


def sockets(pid: int) -> list[str]:
    links = [os.readlink(entry) for entry in (Path("/proc") / str(pid) / "fd").iterdir()]
    return sorted(link for link in links if link.startswith("socket:"))


Serve = Callable[..., Server]


@pytest.fixture
def preloaded(serve: Serve) -> Serve:
    def start(more: str = "", *, options: tuple[str, ...] = (), **others: object) -> Server:
        files = {"preloaded.py": code(more=more)}
        return serve("preloaded:application", options=["--preload", *options], files=files, **others)

    return start


def reload(server: Server, content: str) -> int:
    """Write new code and send HUP; returns the end of the log before it."""
    (server.home / "preloaded.py").write_text(content)
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    return since


def test_a_generation_imports_once_and_its_workers_are_the_masters_children(preloaded: Serve, kind: str) -> None:
    server = preloaded(kind=kind, workers=3, options=("--env", "FROM_RAW_ENV=yes"))
    (mold,) = molds(server)
    assert [line.split()[0] for line in server.notes("imports")] == [str(mold)]
    answers = ask_all(server, workers_of(server))
    assert len(answers) == 3
    assert mold not in answers
    assert {answer["parent"] for answer in answers.values()} == {server.master}
    assert len({answer["random"] for answer in answers.values()}) == 3
    assert {answer["variable"] for answer in answers.values()} == {"yes"}
    assert server.log().count("printed at import") == 1
    # What the application does about signals is its own affair, in a worker: the mold let them pass.
    kill(mold, signal.SIGHUP)
    (worker, *_) = answers
    kill(worker, signal.SIGHUP)
    wait_until(lambda: "HUP" in str(ask_all(server, [worker])[worker]["heard"]), "the worker has heard HUP")
    assert all("CHLD" not in str(answer["heard"]) for answer in answers.values())
    assert alive(mold)


def test_workers_hold_their_own_channel_only_and_the_mold_no_listener(preloaded: Serve) -> None:
    server = preloaded(workers=3)
    (mold,) = molds(server)
    server.send_signal(signal.SIGTTIN)
    server.wait_ready(4)
    workers = workers_of(server)
    held = {pid: sockets(pid) for pid in workers}
    of_mold = sockets(mold)
    of_master = sockets(server.master)
    # Shared with the master: the transfer queue (two) and, but for the mold, the listener. Its own: the channel, and of
    # a worker the pair that signals come through.
    assert len(of_mold) == 3
    assert len(set(of_mold) & set(of_master)) == 2
    for pid, links in held.items():
        assert len(links) == 6, (pid, links)
        assert len(set(links) & set(of_master)) == 3
        for other in workers:
            if other != pid:
                assert len(set(links) & set(held[other])) == 3
        assert len(set(links) & set(of_mold)) == 2


def test_reload_loads_new_code_and_a_broken_one_changes_nothing(preloaded: Serve, kind: str) -> None:
    server = preloaded(kind=kind)
    (first,) = molds(server)
    with Load(server.address, clients=4) as load:
        since = reload(server, code("2"))
        server.wait_log(r"reload complete: generation 2 serves", since)
        assert ask(server)["version"] == "2"
        wait_until(lambda: not alive(first), "the former mold is gone")
        before = workers_of(server)
        for broken in ("raise RuntimeError('on purpose')", "import sys; sys.exit(0)", "import os; os._exit(0)"):
            since = reload(server, broken)
            server.wait_log(r"reload failed", since)
            assert workers_of(server) == before
        assert "reload complete" not in server.log(since)
        load.wait_for(20)
    load.tally.assert_nothing_failed()
    assert len(server.notes("imports")) == 2


def test_reload_onto_code_that_hangs_keeps_the_old(preloaded: Serve) -> None:
    server = preloaded(options=("--boot-timeout", "3"))
    before = children_of(server.master)
    since = reload(server, "import time\nwhile True: time.sleep(1)")
    server.wait_log(r"reload failed", since)
    wait_until(lambda: children_of(server.master) == before, "the mold that hung is gone")
    assert 'preloaded.py", line 2' in server.log(since)  # its stack
    assert ask(server)["version"] == "1"


def test_killed_worker_comes_back_from_the_mold_at_once(preloaded: Serve) -> None:
    server = preloaded()
    since = server.log_end()
    (victim, _) = workers_of(server)
    kill(victim)
    server.wait_ready(1, since)
    assert len(server.notes("imports")) == 1


def test_killed_mold_comes_back_and_workers_serve_on(preloaded: Serve) -> None:
    server = preloaded()
    before = workers_of(server)
    with Load(server.address, clients=2) as load:
        since = server.log_end()
        kill(molds(server)[0])
        server.wait_log("mold ready", since)
        load.wait_for(20)
    load.tally.assert_nothing_failed()
    assert workers_of(server) == before
    since = server.log_end()
    kill(before[0])
    server.wait_ready(1, since)
    assert {answer["parent"] for answer in ask_all(server, workers_of(server)).values()} == {server.master}


def test_nothing_is_left_when_the_master_is_killed(preloaded: Serve, kind: str) -> None:
    server = preloaded(kind=kind)
    (mold,) = molds(server)
    kill(server.master)
    server.wait_exit()
    wait_until(lambda: not alive(mold), "the mold is gone", 2.0)
    server.assert_nothing_left(3.0)  # workers may finish for 0.8 s; a busy machine needs a moment more


HOOKS = """
import ast
import os
def pre_fork(server, worker):
    worker.given = {"age": worker.age, "by": os.getpid()}
    worker.odd = lambda: 1

def post_fork(server, worker):
    server.log.info("found %r listeners=%d age=%d %s", worker.given, len(server.LISTENERS), worker.age, worker.ppid)
    server.LISTENERS[0].sock.getsockname()
"""


def test_what_pre_fork_stored_on_the_worker_is_found_in_post_fork(preloaded: Serve) -> None:
    server = preloaded(config=HOOKS)
    for found in server.wait_log(r"found \{'age': (\d+), 'by': (\d+)\} listeners=1 age=(\d+) (\d+)", count=2):
        assert found[1] == found[3]
        assert found[2] == found[4] == str(server.master)
    assert server.log().count("does not reach a preloaded worker name=odd") == 1


def test_logs_are_opened_anew_for_workers_that_come_later_too(preloaded: Serve) -> None:
    server = preloaded(options=("--access-logfile", "access.log"), workers=1)
    access = server.home / "access.log"
    ask(server)
    wait_until(lambda: "GET /" in access.read_text(), "the request is in the log")
    access.rename(server.home / "old.log")
    server.send_signal(signal.SIGUSR1)
    wait_until(access.exists, "the log is opened anew")
    (worker,) = workers_of(server)
    since = server.log_end()
    kill(worker)
    server.wait_ready(1, since)
    ask(server)
    wait_until(lambda: "GET /" in access.read_text(), "the new worker writes into the new file")


@pytest.mark.parametrize("options", [["--preload"], []], ids=["mold", "worker"])
def test_an_application_that_harms_its_process_is_told_so(
    make_server: Callable[..., Server], options: list[str]
) -> None:
    server = make_server()
    (server.home / "preloaded.py").write_text(code(more="import os; os.closerange(3, 200)"))
    server.start("preloaded:application", options=options)
    assert server.wait_exit() != 0
    assert "closed or replaced descriptors of the server" in server.log()
    assert "defect of Ostler" not in server.log()


def test_a_copy_that_the_application_forks_at_import_is_no_mold(preloaded: Serve) -> None:
    server = preloaded("if os.fork() == 0: raise SystemExit('the copy')")
    assert len(molds(server)) == 1
    assert ask(server)["version"] == "1"
    assert len(children_of(server.master)) == 3, "two workers and their mold"


def test_what_the_application_has_loaded_is_in_memory_once(preloaded: Serve) -> None:
    size = 40_000_000
    server = preloaded(f"DATA = bytes(bytearray(os.urandom(1000)) * {size // 1000})", workers=3)
    ask_all(server, workers_of(server))
    total = total_pss_bytes(server.worker_pids())
    assert total is not None
    assert total < 2 * size


THREAD = "import threading; threading.Thread(target=threading.Event().wait, name='idler', daemon=True).start()"


def test_threads_of_the_application_are_named_and_workers_are_forked_all_the_same(preloaded: Serve) -> None:
    server = preloaded(THREAD)
    assert "idler" in server.log()
    assert len(ask_all(server, workers_of(server))) == 2


def test_an_application_with_threads_is_refused_or_loaded_by_each_worker_as_asked(
    preloaded: Serve, make_server: Callable[..., Server]
) -> None:
    lazy = preloaded(THREAD, options=("--preload-unsafe", "lazy"))
    wait_until(lambda: len(children_of(lazy.master)) == 2, "the mold is gone")
    assert len(lazy.notes("imports")) == 3
    server = make_server()
    (server.home / "preloaded.py").write_text(code(more=THREAD))
    server.start("preloaded:application", options=["--preload", "--preload-unsafe", "refuse"])
    assert server.wait_exit() == 3
    assert "idler" in server.log()


REFUSES = """
import ostler.process.fork as module
real, refusals = module._fork, iter([BlockingIOError(11, "Resource temporarily unavailable")] * 2)
def fork():
    for error in refusals:
        raise error
    return real()
module._fork = fork
"""


def test_a_fork_that_the_system_refuses_is_told_and_tried_again(preloaded: Serve) -> None:
    server = preloaded(REFUSES)
    assert "resource temporarily unavailable" in server.log()
    assert len(ask_all(server, workers_of(server))) == 2


HANGS = """
import time
import ostler.process.fork as module
module._BETWEEN_S = 0.3
def hang():
    note("forks", "one")
    while os.path.exists(os.path.join(os.environ["CONTRACT_DIR"], "hang")): time.sleep(0.01)
os.register_at_fork(after_in_child=hang)
"""


def test_a_library_that_hangs_in_a_fork_is_told_and_leaves_nothing_behind(preloaded: Serve) -> None:
    server = preloaded(HANGS)
    (server.home / "hang").touch()
    before = workers_of(server)
    since = server.log_end()
    kill(before[0])
    server.wait_log("the fork did not end", since)
    (server.home / "hang").unlink()
    server.wait_ready(1, since)
    assert len(workers_of(server)) == 2
    assert len(children_of(server.master)) == 3, "two workers and their mold"


def test_slot_that_is_given_up_and_slot_that_comes_have_their_sockets(preloaded: Serve) -> None:
    server = preloaded(options=("--reuse-port",))
    server.send_signal(signal.SIGTTIN)
    server.wait_ready(3)
    listening = {pid: sockets(pid) for pid in workers_of(server)}
    shared = set.intersection(*map(set, listening.values()))
    assert len(shared) == 2  # the transfer queue
    ask_all(server, workers_of(server))
    server.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(workers_of(server)) == 2, "two workers are left")
    ask_all(server, workers_of(server))


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change users")
def test_the_mold_has_the_masters_user_and_its_workers_have_theirs(preloaded: Serve) -> None:
    server = preloaded(options=("--user", "65534", "--group", "65534"), workers=1)
    assert [line.split()[1] for line in server.notes("imports")] == ["0"]
    assert ask(server)["user"] == 65534
    kill(server.master)
    server.wait_exit()
    server.assert_nothing_left(2.0)


NO_SUBREAPER = "import ostler.process.parent as module; module.ORPHANS_ARE_ADOPTED = False"


def test_where_the_system_has_no_subreaper_the_mold_tells_of_its_workers(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_SUBREAPER)
    files = {"preloaded.py": code()}
    server = serve(
        "preloaded:application", options=["--preload"], files=files, env={"PYTHONPATH": f"{tmp_path}:{APPS}"}
    )
    (mold,) = molds(server)
    assert children_of(server.master) == [mold]
    before = children_of(mold)
    since = server.log_end()
    kill(before[0])
    server.wait_ready(1, since)
    server.wait_log(rf"worker died .*pid={before[0]} cause=\"signal SIGKILL", since)
    since = reload(server, code("2"))
    server.wait_log("reload complete", since)
    wait_until(lambda: not any(map(alive, before)), "the former workers are gone")
    assert ask(server)["version"] == "2"


def test_orphans_of_the_application_are_reaped_by_the_master(preloaded: Serve) -> None:
    server = preloaded("import subprocess; subprocess.run(['sh', '-c', 'sleep 0.2 & echo $! > orphan'], check=True)")
    orphan = int((server.home / "orphan").read_text())
    wait_until(lambda: not (Path("/proc") / str(orphan)).exists(), "the orphan is reaped")
    assert parent_of(workers_of(server)[0]) == server.master
    assert children_of(molds(server)[0]) == []
