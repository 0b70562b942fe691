"""compat/server_view.py"""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ostler.compat.server_view import ServerView
from ostler.compat.workers.sync import SyncWorker
from ostler.config.address import TcpAddress
from tests.unit.compat.facts import LOG, Listener, settings, views_and_master, worker_facts

ASKED = {
    "reload": signal.SIGHUP, "reexec": signal.SIGUSR2, "stop": signal.SIGTERM, "halt": signal.SIGTERM,
    "handle_hup": signal.SIGHUP, "handle_ttin": signal.SIGTTIN, "handle_ttou": signal.SIGTTOU,
    "handle_usr1": signal.SIGUSR1, "handle_winch": signal.SIGWINCH, "handle_quit": signal.SIGQUIT,
    "handle_int": signal.SIGQUIT, "handle_term": signal.SIGTERM, "handle_usr2": signal.SIGUSR2,
}  # fmt: skip


@pytest.fixture
def received():
    """The signals that this process gets, instead of what they do."""
    numbers = []
    former = {number: signal.signal(number, lambda number, _: numbers.append(number)) for number in ASKED.values()}
    yield numbers
    for number, handler in former.items():
        signal.signal(number, handler)


def server_here():
    """The server of a master that is this process."""
    views, master = views_and_master(pid=os.getpid())
    return views.server(), master


def test_the_server_has_gunicorns_attributes():
    views, master = views_and_master(worker_age=4)
    server = views.server()
    assert (server.pid, server.timeout, server.proc_name, server.worker_age) == (10, 31, "m:app", 4)
    assert (server.num_workers, server.worker_class, server.log) == (3, SyncWorker, LOG)
    assert server.address == [("::1", 80), "/run/s"]
    assert [str(each) for each in server.LISTENERS] == ["http://127.0.0.1:8000", "unix:/run/s"]
    assert (server.WORKER_BOOT_ERROR, server.APP_LOAD_ERROR, server.systemd) == (3, 4, False)
    assert server.START_CTX["args"][0] == server.START_CTX[0] == sys.executable
    assert server.START_CTX["cwd"] == os.getcwd()
    assert server.app.cfg is server.cfg
    assert server.wakeup() is None
    master.settings = settings(timeout=5)
    assert server.timeout == server.cfg.timeout == 5


def test_two_masters_are_told_apart_as_gunicorns_are():
    views, master = views_and_master(settings=settings(pidfile="/run/x.pid"))
    server = views.server()
    assert (server.master_pid, server.reexec_pid, server.pidfile.fname) == (0, 0, "/run/x.pid")
    master.old_master_pid, master.new_master_pid = 8, 9
    assert (server.master_pid, server.reexec_pid, server.proc_name) == (8, 9, "m:app.2")
    assert (server.pidfile.fname, server.pidfile.pid) == ("/run/x.pid.2", 10)
    assert views_and_master()[0].server().pidfile is None


def test_sockets_of_systemd_are_known():
    listener = Listener("http://127.0.0.1:1", TcpAddress("127.0.0.1", 1))
    listener.origin = SimpleNamespace(activated=True)
    assert views_and_master(listeners=(listener,))[0].server().systemd


def test_the_servers_workers_are_the_objects_that_worker_hooks_get():
    views, master = views_and_master()
    facts = worker_facts(pid=77)
    master.workers[77] = facts
    workers = views.server().WORKERS
    assert list(workers) == [77]
    assert workers[77] is views.worker(facts)


@pytest.mark.parametrize("method", ASKED)
def test_what_a_hook_asks_of_the_server_is_what_an_operator_would_send(method, received):
    server, _ = server_here()
    getattr(server, method)()
    assert received == [ASKED[method]]


def test_a_server_can_be_stopped_without_waiting(received):
    server_here()[0].stop(graceful=False)
    assert received == [signal.SIGQUIT]


def test_a_status_of_ones_own_is_not_to_be_had_and_the_log_says_so(received, caplog):
    LOG.propagate = True
    server_here()[0].halt(reason="the disk is full", exit_status=7)
    assert received == [signal.SIGTERM]
    assert "a hook halts the server: the disk is full" in caplog.text
    assert "a hook asked for exit status 7, which only the master's can have" in caplog.text


def test_only_ones_own_workers_are_killed():
    server, master = server_here()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        server.kill_worker(child.pid, signal.SIGKILL)
        assert child.poll() is None
        master.workers[child.pid] = worker_facts(pid=child.pid)
        server.kill_workers(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        server.kill_worker(child.pid, signal.SIGKILL)  # it is gone


def test_a_worker_does_not_know_which_others_live():
    server = views_and_master(pid=os.getppid())[0].server()
    for call in (
        lambda: server.kill_worker(1, 0),
        lambda: server.kill_workers(0),
        server.spawn_worker,
        server.manage_workers,
        lambda: setattr(server, "num_workers", 9),
    ):
        with pytest.raises(RuntimeError, match="only the master knows who lives"):
            call()


def test_nothing_is_asked_of_a_process_that_is_not_the_master():
    with pytest.raises(RuntimeError, match="the master 10 is gone"):
        views_and_master()[0].server().reload()


def test_what_is_decided_elsewhere_cannot_be_changed_by_a_hook():
    server = views_and_master()[0].server()
    with pytest.raises(TypeError):
        server.START_CTX[0] = "/bin/false"
    with pytest.raises(AttributeError, match=r"server\.handle_chld is not built"):
        server.handle_chld()


class Orders:
    """Remembers what it is asked for. answers: whether a signal is being answered."""

    def __init__(self, answers=False):
        self.asked, self._answers = [], answers

    def spawn(self):
        self.asked.append("spawn")
        return 77

    def send_away(self, pid):
        self.asked.append(("send_away", pid))

    def end_extras(self):
        self.asked.append("end_extras")

    def change_goal(self, delta):
        self.asked.append(("change_goal", delta))

    def do_signal(self, number):
        if self._answers:
            self.asked.append(signal.Signals(number).name)
        return self._answers

    def end_with(self, status):
        self.asked.append(("end_with", status))


def test_what_is_wanted_of_workers_is_told_to_the_supervisor():
    server, master = server_here()
    master.workers[5] = worker_facts(pid=5)
    assert server.spawn_worker() is None, "nobody takes orders before the loop runs"
    orders = Orders()
    server.take_orders(orders)
    assert server.spawn_worker() == 77
    server.manage_workers()
    server.kill_worker(5, signal.SIGTERM)
    server.kill_worker(6, signal.SIGTERM)
    server.num_workers += 2
    server.spawn_workers()
    server.murder_workers()
    server.reap_workers()
    assert orders.asked == ["spawn", "end_extras", ("send_away", 5), ("change_goal", 2)]


def test_while_a_signal_is_answered_the_master_does_at_once_what_it_stands_for(received):
    server, _ = server_here()
    orders = Orders(answers=True)
    server.take_orders(orders)
    server.handle_hup()
    server.halt(exit_status=7)
    server.stop()
    server.stop(graceful=False)
    assert orders.asked == ["SIGHUP", ("end_with", 7), "SIGTERM", "SIGQUIT"]
    assert received == []


def test_methods_of_ones_own_are_told_apart():
    class Mine(ServerView):
        def manage_workers(self):
            super().manage_workers()

    server = Mine({})
    assert server.own("manage_workers") == server.manage_workers
    assert server.own("handle_hup") is None
    assert ServerView({}).own("manage_workers") is None
    server.handle_hup = lambda: None
    assert server.own("handle_hup") is server.handle_hup
