"""roles/service.py: what systemd hears, from a supervisor that the test speaks for."""

import logging
import os
import socket

import pytest

from ostler.roles import service as module
from ostler.roles.service import Service
from ostler.supervisor.health import Condition


class Health:
    """As the test says."""

    def __init__(self, **values):
        self.values = {"ready": 2, "goal": 2, "booting": 0, "generation": 1, "degraded": ""}
        self.values |= {"requests": {}, "patience_s": 0.0} | values
        self.trouble = ""

    def problem(self, _silent_limit_s):
        return self.trouble

    def condition(self, _now):
        return Condition(**self.values)


class Manager:
    """systemd's end of the socket, and the clock."""

    def __init__(self, path, monkeypatch):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.environ = {"NOTIFY_SOCKET": path}
        self.now = 100.0
        monkeypatch.setattr(module, "_monotonic", lambda: self.now)

    def heard(self):
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def service(self, **more):
        environ = self.environ | more.pop("environ", {})
        return Service(environ, lambda: logging.getLogger("service"), **more)

    def look(self, service, health, at):
        self.now = at
        service.look(at, health)
        return self.heard()


@pytest.fixture
def manager(tmp_path, monkeypatch):
    made = Manager(str(tmp_path / "notify"), monkeypatch)
    yield made
    made.socket.close()


def ready(manager, **more):
    service, health = manager.service(**more), Health()
    service.serves()
    manager.look(service, health, manager.now)
    return service, health


def test_ready_when_all_workers_of_the_first_generation_are(manager):
    service, health = manager.service(), Health(ready=1)
    assert manager.look(service, health, 100.0) == []
    service.serves()
    assert manager.look(service, health, 101.0) == []
    health.values["ready"] = 2
    assert manager.look(service, health, 101.1) == ["READY=1\nSTATUS=2 of 2 workers, generation 1, 0 requests/s"]
    assert manager.look(service, health, 102.2) == []


def test_a_worker_that_does_not_come_does_not_hold_up_the_start(manager):
    service, health = manager.service(), Health(ready=1)
    service.serves()
    assert manager.look(service, health, 109.9) == []
    assert manager.look(service, health, 110.0) == ["READY=1\nSTATUS=1 of 2 workers, generation 1, 0 requests/s"]


def test_status_tells_workers_at_once_and_requests_now_and_then(manager):
    service, health = ready(manager)
    health.values["requests"] = {1: 30, 2: 90}
    assert manager.look(service, health, 101.5) == []
    assert manager.look(service, health, 110.5) == ["STATUS=2 of 2 workers, generation 1, 11 requests/s"]
    health.values |= {"ready": 1, "degraded": "generation 2 did not start\n(ImportError)"}
    told = r"STATUS=1 of 2 workers, generation 1, 11 requests/s; degraded: generation 2 did not start\n(ImportError)"
    assert manager.look(service, health, 112.0) == [told]


def test_a_reload_and_one_that_failed(manager):
    service, health = ready(manager)
    service.reloads()
    (said,) = manager.heard()
    assert said.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said.endswith("STATUS=Ostler reloads")
    service.reloaded(False, "reload failed: generation 2 did not start (oops); generation 1 keeps serving")
    failed = "reload failed: generation 2 did not start (oops); generation 1 keeps serving"
    assert manager.heard() == [f"READY=1\nSTATUS={failed}"]
    assert manager.look(service, health, 105.0) == [f"STATUS=2 of 2 workers, generation 1, 0 requests/s; {failed}"]
    service.reloads()
    service.reloaded(True, "reload complete: generation 3 serves")
    manager.heard()
    health.values["generation"] = 3
    assert manager.look(service, health, 107.0) == ["STATUS=2 of 2 workers, generation 3, 0 requests/s"]


def test_patience_is_asked_for_while_our_own_limits_are_not_over(manager):
    service, health = manager.service(), Health(ready=0, generation=None, patience_s=250.0)
    assert manager.look(service, health, 100.0) == ["EXTEND_TIMEOUT_USEC=15000000"]
    assert manager.look(service, health, 104.0) == []
    health.values["patience_s"] = 3.0
    assert manager.look(service, health, 105.0) == ["EXTEND_TIMEOUT_USEC=4000000"]
    health.values["patience_s"] = 0.0  # boot_timeout = 0: the limit is systemd's
    assert manager.look(service, health, 111.0) == []


def test_a_lame_duck_and_a_stop_ask_for_patience_too(manager):
    service, health = ready(manager)
    service.stops()
    service.lame_duck(8.0)
    said = ["STOPPING=1\nSTATUS=Ostler stops", "STATUS=Ostler stops in 8 s, and serves until then"]
    assert manager.heard() == said
    assert manager.look(service, health, 101.0) == ["EXTEND_TIMEOUT_USEC=8000000"]
    service.ended(0, "")
    assert manager.heard() == []
    service.ended(3, "the application does not boot")
    assert manager.heard() == ["STATUS=Ostler ended with status 3: the application does not boot"]


def test_the_watchdog_hears_of_us_twice_in_its_time(manager):
    service, health = ready(manager, environ={"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
    assert manager.look(service, health, 109.0) == []
    assert manager.look(service, health, 110.1) == ["WATCHDOG=1"]
    assert manager.look(service, health, 119.0) == []
    assert manager.look(service, health, 120.2) == ["WATCHDOG=1"]


def test_a_short_watchdog_is_in_the_patience_of_the_loop(manager):
    service, health = ready(manager, environ={"WATCHDOG_USEC": "1000000"})
    assert service.deadline == 100.5
    assert manager.look(service, health, 100.5) == ["WATCHDOG=1"]
    assert service.deadline == 101.0


def test_a_fleet_that_hangs_is_left_to_the_watchdog_and_the_log_says_so(manager, caplog):
    caplog.set_level(logging.INFO)
    service, health = ready(manager, environ={"WATCHDOG_USEC": "20000000"})
    manager.look(service, health, 110.0)
    health.trouble = "all 2 ready workers are silent"
    for at in range(111, 125):
        assert manager.look(service, health, float(at)) == []
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "the watchdog of systemd is left without a sign of life" in record.message
    assert 'reason="all 2 ready workers are silent" in_s=19' in record.message
    assert "cure=" in record.message
    health.trouble = ""
    assert manager.look(service, health, 126.0) == ["WATCHDOG=1"]
    assert caplog.records[-1].message == "the watchdog of systemd hears of us again"


def test_an_heir_keeps_still_until_it_was_named(manager):
    service, health = manager.service(heir=True, environ={"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}), Health()
    assert manager.look(service, health, 100.0) == []
    service.serves()
    assert manager.look(service, health, 100.5) == []
    told = manager.look(service, health, 101.5)
    assert told == ["WATCHDOG=1", "READY=1\nSTATUS=2 of 2 workers, generation 1, 0 requests/s"]
    service = manager.service(heir=True)
    service.promoted()
    health.values["ready"] = 0
    assert manager.look(service, health, 103.0) == []
    service.serves()
    health.values["ready"] = 2
    assert manager.look(service, health, 104.0)[0].startswith("READY=1")


def test_an_old_master_keeps_still_once_it_has_named_another(manager):
    service, health = ready(manager, environ={"WATCHDOG_USEC": "20000000"})
    service.succeeded_by(4242)
    assert manager.heard() == ["MAINPID=4242\nWATCHDOG=1"]
    assert manager.look(service, health, 115.0) == []
    service.stops()
    assert manager.heard() == []
    service.succeeded_by(os.getpid())
    assert manager.heard() == [f"MAINPID={os.getpid()}\nWATCHDOG=1"]
    assert "WATCHDOG=1" in manager.look(service, health, 117.0)


def test_without_a_manager_nothing_is_looked_at(manager):
    for where in ({}, {"NOTIFY_SOCKET": "vsock:2:1234"}, {"NOTIFY_SOCKET": ""}):
        service = Service(where, lambda: logging.getLogger("service"))
        assert service.deadline is None
        service.serves()
        service.look(100.0, None)
        service.succeeded_by(1)
        service.promoted()
        service.look(200.0, None)
