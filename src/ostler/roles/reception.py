"""The operator's socket in the master, put together: where it listens, and who answers.

    from the start          the abstract name
    when_ready, promotion   the file beside it (control_socket), as long as no old master lives that has it

Rules for editing: a socket that cannot be had is no error; nothing of the server waits for one.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic as _monotonic

from ostler.control.asker import Asker
from ostler.control.place import Place, Wish, take_place
from ostler.control.server import Server, open_server
from ostler.logline import fields
from ostler.roles.commands import Commands
from ostler.roles.desk import Desk
from ostler.roles.insight import Data, Insight
from ostler.roles.load import Load
from ostler.roles.perform import Performer
from ostler.roles.reload import Reloader
from ostler.roles.succession import Succession
from ostler.supervisor.events import Event
from ostler.supervisor.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Orders:
    """What the master does for an operator. reload: is given who asked, as fields of a log line."""

    reload: Callable[[str], None]
    upgrade: Callable[[Asker], None]
    answer_signal: Callable[[int], None]
    tell: Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Reception:
    """What operators are told of and give orders to."""

    supervisor: Supervisor
    performer: Performer
    succession: Succession
    reloader: Reloader
    load: Load

    def open(self, orders: Orders, environ: Mapping[str, str]) -> Commands:
        """Listen under the abstract name, and answer. environ: as it was when this process was started."""
        server = self._listening()

        def path() -> str | None:
            return None if server.place is None else server.place.path

        def surroundings() -> Data:
            succession = self.succession
            return {
                "control_socket": path(),
                "old_master": succession.predecessor,
                "new_master": succession.successor,
                "systemd": "NOTIFY_SOCKET" in environ,
                "watchdog_s": _watchdog_s(environ),
            }

        checks = self.reloader.checks
        insight = Insight(self.supervisor, self.performer, self.load, checks, surroundings)
        desk = Desk(insight, self.performer, orders.tell, orders.answer_signal, path)
        commands = Commands(server, self.succession, orders.reload, orders.upgrade, desk)
        commands.open_file = lambda: self._open_file(server, environ)
        return commands

    def _listening(self) -> Server:
        found = open_server(os.getpid(), self.performer.poller, _monotonic)
        if isinstance(found, Server):
            return found
        text = fields("the server is not heard by its pid, only by signals and the control socket", reason=found)
        self.performer.log.debug("%s", text)
        return Server(None, None, self.performer.poller, _monotonic)

    def _open_file(self, server: Server, environ: Mapping[str, str]) -> None:
        wish = Wish.of(self.performer.newest().settings, environ)
        if wish is None or server.place is not None or self.succession.predecessor is not None:
            return
        log = self.performer.log
        found = take_place(wish)
        if isinstance(found, Place):
            server.also_at(found)
            log.log(logging.INFO if wish.asked_for else logging.DEBUG, "%s", fields("control socket", path=found.path))
        elif found.warns:
            text = "no control socket; the server serves, and commands find it by its pid"
            log.warning("%s", fields(text, reason=f"control_socket: {found.why}"))
        else:
            log.debug("%s", fields("no control socket; commands find the server by its pid", reason=found.why))


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """What systemd has set for the service, whoever is its main process now."""
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() else None
