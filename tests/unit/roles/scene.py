"""A master without processes: generations that have addresses and pages, and children that the test speaks for."""

import logging
from types import SimpleNamespace

from ostler.observe.hooks import MasterFacts, MasterHooks, WorkerFacts
from ostler.observe.scoreboard import Scoreboard
from ostler.process.channel import Channel
from ostler.process.listeners import BindOptions
from ostler.process.slots import SlotListeners
from ostler.roles.children import Child
from ostler.roles.shared import Shared

LOG = logging.getLogger("scene")

NO_HOOKS = SimpleNamespace(
    on_reload=None, pre_fork=None, child_exit=None, nworkers_changed=None, when_ready=None, pre_exec=None, on_exit=None
)


class Settings:
    """The few that are looked at here."""

    hooks = NO_HOOKS
    daemon = False
    enable_backlog_metric = False
    kill_worker_children = True
    boot_timeout = 30.0
    graceful_timeout = 30.0


class Journal:
    """Its log is LOG; what was opened again is `opened`."""

    statsd = None
    log = LOG

    def __init__(self):
        self.opened = ((), ())
        self.logs = SimpleNamespace(error=LOG, install=lambda: None, reopen=lambda: self.opened, tick=lambda: None)

    def flush(self):
        pass

    def close(self):
        pass


class HookArguments:
    def introduce(self, master):
        pass

    def server(self):
        return None

    def take_orders(self, orders):
        pass

    def own(self, method):
        return None

    def worker(self, facts):
        return facts

    def forget(self, facts):
        pass

    def attributes(self, facts):
        return ""


class Generation:
    """One without addresses; `put_back` counts how often its surroundings were put back in the master."""

    def __init__(self, number, journal=None):
        self.number = number
        self.settings = Settings()
        self.listeners = SlotListeners.open([], [], 8, BindOptions(), 1)
        self.journal = journal or Journal()
        self.scoreboard = Scoreboard(16, 1)
        self.certificates = None
        self.put_back = 0
        self.surroundings = SimpleNamespace(put_back=self._count)

    def _count(self):
        self.put_back += 1

    @property
    def logs(self):
        return self.journal.logs


def shared(generation):
    arguments = HookArguments()
    facts = MasterFacts(1, generation.settings, 0, (), LOG)
    return Shared(None, arguments, facts, MasterHooks(facts, arguments, LOG))


class Cast:
    """Children of a Performer. `speak`: one says something. `say`: and the master hears it, and makes this of it."""

    def __init__(self, performer, generation):
        self.performer = performer
        self.generation = generation
        self._their_ends = {}

    def worker(self, pid, *, age=0, mold=None):
        """pid: 0 is one that is not born yet."""
        page = self.generation.scoreboard.page(len(self._their_ends))
        facts = WorkerFacts(age or pid, 1, self.generation.settings, (), page, LOG, pid)
        return self._add(age or pid, pid, facts, mold)

    def mold(self, pid):
        return self._add(pid, pid, None, None)

    def speak(self, child, *messages):
        for message in messages:
            self._their_ends[child].send(message)

    def say(self, child, *messages):
        self.speak(child, *messages)
        return self.performer.hear(child)

    def hang_up(self, child):
        self._their_ends[child].close()

    def _add(self, age, pid, facts, mold):
        ours, theirs = Channel.pair()
        child = Child(age, pid, ours, self.generation, facts, mold=mold)
        self._their_ends[child] = theirs
        self.performer.children.add(child)
        return child

    def close(self):
        self.performer.children.close_in_child()
        for end in self._their_ends.values():
            end.close()
