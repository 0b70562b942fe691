"""roles/arbitration.py: when methods of an embedder's own are called, and what they can make the master do."""

import logging
import signal

import pytest

from ostler.observe.hooks import MasterFacts
from ostler.roles.arbitration import Arbitration
from ostler.supervisor.events import CapacityAsked, ExtraAsked, ExtrasOver, WorkerUnwanted
from tests.unit.compat.facts import settings

LOG = logging.getLogger("test_arbitration")


class Server:
    """An embedder's: its methods are those that the test gives it."""

    def __init__(self, **methods):
        self.methods = methods
        vars(self).update(methods)


class Arguments:
    def __init__(self, server):
        self._server = server
        self.orders = None

    def take_orders(self, orders):
        self.orders = orders

    def server(self):
        return self._server

    def own(self, method):
        return self._server.methods.get(method)


class Scene:
    def __init__(self, **methods):
        self.told, self.signals = [], []
        self.facts = MasterFacts(1, settings(), 2, (), LOG)
        arguments = Arguments(Server(**methods))
        self.arbitration = Arbitration(arguments, self.facts, self._tell, self.signals.append, lambda: LOG)
        assert arguments.orders is self.arbitration

    def _tell(self, event):
        self.told.append(event)
        if isinstance(event, ExtraAsked):
            self.facts.workers[100 + len(self.facts.workers)] = None


def test_nothing_of_ones_own_is_nothing_to_call():
    scene = Scene()
    scene.arbitration.begin()
    scene.arbitration.each_second()
    scene.arbitration.after_death()
    assert not scene.arbitration.answers(signal.SIGHUP)
    assert (scene.told, scene.signals) == ([], [])


def test_methods_are_called_when_gunicorn_calls_them():
    called = []
    names = ("init_signals", "start", "murder_workers", "manage_workers", "reap_workers")
    scene = Scene(**{name: lambda name=name: called.append(name) for name in names})
    scene.arbitration.begin()
    scene.arbitration.each_second()
    scene.arbitration.after_death()
    assert called == ["init_signals", "start", "murder_workers", "manage_workers", "reap_workers", "manage_workers"]


def test_what_is_asked_for_is_told_to_the_supervisor():
    scene = Scene(manage_workers=lambda: None)
    arbitration = scene.arbitration
    arbitration.end_extras()  # there are none
    assert arbitration.spawn() == 100
    arbitration.send_away(7)
    arbitration.each_second()
    arbitration.end_extras()
    arbitration.change_goal(-2)
    assert scene.told == [ExtraAsked(), WorkerUnwanted(7), ExtrasOver(), CapacityAsked(-1), CapacityAsked(-1)]


def test_extra_workers_that_a_hook_asked_for_are_over_as_in_gunicorn():
    scene = Scene()
    scene.arbitration.spawn()
    scene.arbitration.each_second()
    scene.arbitration.each_second()
    assert scene.told == [ExtraAsked(), ExtrasOver()]


def test_a_signal_that_is_ones_own_affair_is_answered_instead_of_by_the_master():
    scene = Scene(handle_hup=lambda: None)
    assert scene.arbitration.answers(signal.SIGHUP)
    assert not scene.arbitration.answers(signal.SIGTERM)
    assert not scene.arbitration.do_signal(signal.SIGHUP), "nothing is answered any more"
    assert scene.signals == []


def test_what_a_signals_method_calls_makes_it_ones_own_affair_too():
    called = []
    scene = Scene(reload=lambda: called.append("reload"))
    scene.arbitration._arguments.server().handle_hup = lambda: called.append("handle_hup")
    assert scene.arbitration.answers(signal.SIGHUP)
    assert called == ["handle_hup"], "it is where Gunicorn begins"


def test_within_an_answer_the_master_does_what_another_signal_stands_for():
    scene = Scene(handle_hup=lambda: scene.arbitration.do_signal(signal.SIGTERM))
    assert scene.arbitration.answers(signal.SIGHUP)
    assert scene.signals == [signal.SIGTERM]


@pytest.mark.parametrize(
    ("error", "status"), [(StopIteration(), 0), (KeyboardInterrupt(), 0), (SystemExit(7), 7), (SystemExit("no"), 1)]
)
def test_what_gunicorn_takes_for_a_stop_stops_the_server(error, status):
    def manage_workers():
        raise error

    scene = Scene(manage_workers=manage_workers)
    scene.arbitration.each_second()
    assert scene.signals == [signal.SIGTERM]
    assert scene.arbitration.exit_status == status


def test_what_else_is_raised_is_logged_and_the_server_goes_on(caplog):
    def manage_workers():
        raise ValueError("no such thing")

    scene = Scene(manage_workers=manage_workers)
    scene.arbitration.each_second()
    assert (scene.signals, scene.told) == ([], [])
    assert "hook failed, the server goes on hook=manage_workers" in caplog.text
    assert "no such thing" in caplog.text
