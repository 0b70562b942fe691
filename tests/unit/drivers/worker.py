"""A worker in one thread: a real reactor over loopback sockets, driven by `run(until)`, with a clock that can jump."""

import errno
import io
import os
import socket
import time
from types import SimpleNamespace

from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi import FileWrapper, WsgiAdapter
from ostler.config.address import TcpAddress
from ostler.config.settings import Settings
from ostler.drivers import admission as admission_module
from ostler.drivers import clients as clients_module
from ostler.drivers import doors as doors_module
from ostler.drivers import reactor as reactor_module
from ostler.drivers import shedding as shedding_module
from ostler.drivers.admission import Rules
from ostler.drivers.crew import Crew
from ostler.drivers.doors import Doors
from ostler.drivers.reactor import Reactor
from ostler.drivers.shedding import Shedding
from ostler.drivers.side_door import SideDoor, after_s
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.transfer import TransferSockets
from ostler.http.limits import Limits
from ostler.observe.hooks import WorkerFacts, WorkerHooks
from ostler.observe.scoreboard import Scoreboard
from ostler.observe.span import SpanMaker
from ostler.process.listeners import Listener, bind_all
from ostler.workers.exchanges import ExchangeRunner
from tests.unit.app.serving import Log

PATIENCE_S = 5.0
"""A condition that does not come true within this time never will."""


class Clock:
    """The system's, and a jump ahead of it."""

    def __init__(self):
        self.ahead_s = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead_s


class Visitor:
    """A client: what it got so far, and how that ended."""

    def __init__(self, worker, address):
        self.worker = worker
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.data = b""
        self.ended = False
        self.reset = False

    def send(self, data):
        assert self.socket.send(data) == len(data)

    def look(self):
        """Take what has arrived."""
        try:
            while not self.ended:
                data = self.socket.recv(1 << 20)
                self.data += data
                self.ended = not data
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = self.reset = True
        return self.data

    def close(self):
        self.socket.close()

    def responses(self):
        """(status, body) of each response that is complete; all have a Content-Length."""
        rest, found = self.look(), []
        while b"\r\n\r\n" in rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(rest) < length:
                break
            found.append((status, rest[:length]))
            rest = rest[length:]
        return found

    def ask(self, data, count=1):
        """Send, and run the worker until `count` responses are there."""
        before = len(self.responses())
        self.send(data)
        self.worker.run(lambda: len(self.responses()) >= before + count)
        return self.responses()[before:]

    def wait_for_end(self):
        self.worker.run(lambda: self.look() is not None and self.ended)


class Worker:
    """One worker process's parts, with one thread."""

    def __init__(self, monkeypatch, application, *, permits=1, limit=100, listeners=None, context=None, **settings):
        self.clock = Clock()
        for module in (admission_module, clients_module, doors_module, reactor_module, shedding_module):
            monkeypatch.setattr(module, "_monotonic", self.clock)
        self.log = Log()
        self.settings = Settings.defaults(**settings)
        self.listeners = bind_all((TcpAddress("127.0.0.1", 0),), 64) if listeners is None else listeners
        self.addresses = [listener.socket.getsockname() for listener in self.listeners]
        self.scoreboard = Scoreboard(2, permits)
        self.transfer = TransferSockets.create()
        self.crew = Crew(permits)
        self.crew.pick_up()
        page = self.scoreboard.page(0)
        self.doors = Doors(
            listeners=self.listeners,
            transfer=self.transfer,
            scoreboard=self.scoreboard,
            page_index=0,
            has_permit=lambda: self.crew.has_permit,
            client_limit=limit,
            log=self.log,
            side_door=SideDoor(after_s(self.settings.queue_timeout)) if self.settings.queue_timeout else None,
        )
        constants = {
            "wsgi.errors": io.StringIO(),
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.multiprocess": False,
            "wsgi.multithread": False,
        }
        template = EnvironTemplate(self.settings, constants, {})
        facts = WorkerFacts(age=1, ppid=1, settings=self.settings, listeners=(), page=page, log=None)
        spans = SpanMaker(page, WorkerHooks(facts, None, self.log), [], 0, lambda: None)
        self.finished = []
        """What the observers of shed requests have heard."""
        self.shed = 0
        self.reactor = Reactor(
            crew=self.crew,
            doors=self.doors,
            page=page,
            template=template,
            limits=Limits(),
            timeouts=Timeouts.of(self.settings),
            request_buffering=self.settings.request_buffering,
            leader_beats=True,
            run_exchange=ExchangeRunner(WsgiAdapter(application, template, self.log), spans),
            log=self.log,
            rules=Rules.of(self.settings, context),
            protocol=self.settings.protocol,
            pressure=self.scoreboard.pressures.of(0),
            shedding=self._shedding(template) if self.settings.queue_timeout else None,
        )
        self.clients = self.reactor.clients
        self.visitors = []
        # Always readable: the handler is called at each turn of the loop, and the poll never waits.
        self._turn, self._always = os.pipe()
        os.write(self._always, b"x")
        self._until = None
        self._deadline = 0.0
        self._turns = 0
        self.reactor.watch(self._turn, self._look)

    def _shedding(self, template):
        return Shedding(
            timeout_s=self.settings.queue_timeout,
            spared=self.settings.health_paths,
            template=template,
            observers=[SimpleNamespace(request_finished=self.finished.append)],
            pressure=self.scoreboard.pressures.of(0),
            count=self._count_shed,
            log=self.log,
        )

    def _count_shed(self):
        self.shed += 1

    def _look(self):
        self._turns += 1
        self.late = time.monotonic() > self._deadline
        if self._until() or self.late:
            self.reactor.finished = True

    def run(self, until, may_run=True):
        """Lead until `until()` is true at some turn of the loop, or the worker is done."""
        outer = self._until, self._deadline
        self._until, self._deadline, self.late = until, time.monotonic() + PATIENCE_S, False
        self.reactor.finished = False
        self.reactor.lead(may_run)
        self.reactor.finished = self.reactor.done.is_set()
        self._until, self._deadline = outer
        assert not self.late, f"it never came true; log: {self.log.lines}"

    def turns(self, count, may_run=True):
        """So many turns of the loop."""
        end = self._turns + count
        self.run(lambda: self._turns >= end, may_run)

    def as_standby(self, until):
        """For an application: lead as another thread would do meanwhile."""
        assert self.crew.pick_up()
        self.run(until, may_run=False)
        self.crew.lay_down()

    def end(self):
        """Until the worker is done, while time flies."""
        self.run(self._hurry)
        assert self.reactor.done.is_set()

    def _hurry(self):
        self.clock.ahead_s += 0.001
        return False

    def jump(self, seconds):
        """Let time pass, and the next tick happen."""
        self.clock.ahead_s += seconds
        self.turns(3)

    def visit(self, number=0):
        """A client that connects now."""
        visitor = Visitor(self, self.addresses[number])
        self.visitors.append(visitor)
        return visitor

    def enter(self, number=0):
        """A client that has been accepted."""
        visitor = self.visit(number)
        before = len(self.clients)
        self.run(lambda: len(self.clients) > before)
        return visitor

    def is_quiet(self):
        """Whether nothing but our own pipe is reported: a loop that is told of something at each turn never sleeps."""
        return {fd for fd, _ in self.reactor._poller.poll(0)} <= {self._turn}

    @property
    def warnings(self):
        return [message for level, message in self.log.lines if level in ("WARNING", "ERROR")]

    def close(self):
        for visitor in self.visitors:
            visitor.close()
        self.reactor.close()
        for listener in self.listeners:
            listener.close()
        self.transfer.close()
        os.close(self._turn)
        os.close(self._always)


class FullTable(socket.socket):
    """A listening socket whose accept(2) finds no free descriptor while `full`."""

    full = True
    tries = 0

    def _accept(self):
        self.tries += 1
        if self.full:
            raise OSError(errno.EMFILE, "Too many open files")
        return super()._accept()

    @classmethod
    def listener(cls):
        sock = cls(socket.AF_INET)
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        sock.setblocking(False)
        return Listener(sock, TcpAddress("127.0.0.1", sock.getsockname()[1]))
