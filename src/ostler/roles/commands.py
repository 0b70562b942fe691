"""What the operator's commands make the master do, and who is told of what comes of it: reloads and upgrades here, all
others at the desk (desk.py).

A reload that a command began is the same as one of HUP. The command is told of every line that the master logs of it,
and of its end: of `ReloadEnded`, or, when a later reload overtook it, of that one's. A later one that fails overtakes
nothing: what was rolled out before it goes on, and has an end of its own.

Rules for editing: a command that is gone (asker.gone) is told in vain, and harms nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ostler.control.asker import Asker
from ostler.control.protocol import Command, Request
from ostler.control.server import Server
from ostler.control.wire import Asked
from ostler.logline import fields
from ostler.roles.succession import Succession
from ostler.supervisor.actions import ReloadEnded
from ostler.supervisor.events import Event, SettingsAccepted, SettingsRejected

_HERE = (Command.RELOAD, Command.UPGRADE, Command.FOLLOW)


class Desk(Protocol):
    """Who answers all others; see desk.py."""

    @property
    def deadline(self) -> float | None: ...
    def begin(self, asker: Asker, request: Request, /) -> None: ...
    def begin_asked(self, asker: Asker, asked: Asked, /) -> None: ...
    def look(self, now: float, /) -> None: ...
    def each_second(self) -> None: ...
    def tell(self, text: str, /) -> None: ...
    def reload_begins(self) -> None: ...
    def reload_ended(self, ended: ReloadEnded, /) -> None: ...
    def stop(self, why: str, /) -> None: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class _Reloading:
    """A command that waits for a reload. generation: None while its configuration is checked."""

    asker: Asker
    generation: int | None = None
    decided: bool = False
    """The supervisor is told of that check just now."""


class Commands:
    """Those that wait. `refusal` says why nothing new is begun (the server stops), or is empty."""

    def __init__(
        self,
        server: Server,
        succession: Succession,
        begin_reload: Callable[[str], None],
        begin_upgrade: Callable[[Asker], None],
        desk: Desk,
    ) -> None:
        """begin_reload: is given who asked, as fields of a log line."""
        self._desk = desk
        self.open_file: Callable[[], None] = lambda: None
        """Listens on the file, if there is to be one and no other master has it."""
        self._server = server
        self._begin_reload = begin_reload
        self._succession = succession
        self._begin_upgrade = begin_upgrade
        self._reloading: list[_Reloading] = []
        self._upgrading: list[Asker] = []
        self._following: list[Asker] = []
        self._promotion = "this master has no predecessor"
        self.refusal = ""

    @property
    def deadline(self) -> float | None:
        """When `look` has something to do."""
        return self._desk.deadline

    def hears(self, fd: int) -> bool:
        return self._server.hears(fd, self._begin)

    def look(self, now: float) -> None:
        """In each turn of the loop."""
        self._desk.look(now)

    def each_second(self) -> None:
        self._server.each_second(self._begin)
        self._desk.each_second()
        self._reloading = [each for each in self._reloading if not each.asker.gone]
        self._upgrading = [asker for asker in self._upgrading if not asker.gone]
        self._following = [asker for asker in self._following if not asker.gone]

    def tell(self, text: str) -> None:
        """A line that the master has logged: of a reload or an upgrade, as long as one is waited for."""
        for asker in (*(each.asker for each in self._reloading), *self._upgrading):
            asker.tell(text)
        self._desk.tell(text)

    def pass_on(self, event: Event, tell: Callable[[Event], None]) -> None:
        """Give the supervisor what came of the configuration check. Who waited for that waits for what follows."""
        decided = [each for each in self._reloading if each.generation is None]
        for each in decided:
            each.decided = True
            if isinstance(event, SettingsAccepted):
                each.generation = event.spec.number
        if isinstance(event, SettingsAccepted):
            self._desk.reload_begins()
        tell(event)
        for each in decided:
            each.decided = False
            if isinstance(event, SettingsRejected):  # it has heard that from reload_ended, unless the server stops
                each.asker.end(False, f"reload failed: {event.summary}")

    def reload_ended(self, ended: ReloadEnded) -> None:
        """Of the settings that are just decided about, or of a generation and of those that it has overtaken."""
        self._desk.reload_ended(ended)
        for each in self._reloading:
            if ended.reload is None:
                over = each.decided
            else:
                over = each.generation is not None and each.generation <= ended.reload
                over = over and (ended.succeeded or each.generation != ended.generation)
            if over:
                each.asker.end(ended.succeeded, ended.text)

    def appear(self) -> None:
        """The server begins: from now on it is heard on its file, too."""
        self.open_file()

    def promoted(self, text: str) -> None:
        """The old master is gone. text: what those hear who ask for it, now or later."""
        self.open_file()
        self._promotion = text
        _end(self._following, True, text)
        self._following = []

    def stop(self, why: str) -> None:
        """The server stops: nothing is begun from now on, and no reload will end."""
        self.refusal = why
        _end([each.asker for each in self._reloading], False, f"reload ended: {why}")
        self._desk.stop(why)

    def close(self) -> None:
        """The master leaves."""
        _end(self._following, False, f"upgrade: {self.refusal}")
        self._desk.close()
        self._server.close()

    def close_in_child(self) -> None:
        self._server.close_in_child()

    def _begin(self, asker: Asker, request: Request | Asked) -> None:
        if isinstance(request, Asked):
            self._desk.begin_asked(asker, request)
            return
        command = request.command
        if command not in _HERE:
            self._desk.begin(asker, request)
            return
        if self.refusal:
            asker.end(False, f"{command.value} refused: {self.refusal}")
            return
        match command:
            case Command.RELOAD:
                self._reloading.append(_Reloading(asker))
                self._begin_reload(_asked_by(asker, command))
            case Command.UPGRADE:
                self._upgrading.append(asker)
                self._begin_upgrade(asker)
            case Command.FOLLOW if self._succession.predecessor is None:
                asker.end(True, self._promotion)
            case Command.FOLLOW:
                self._following.append(asker)
            case _:
                pass


def _asked_by(asker: Asker, command: Command) -> str:
    return fields(f"command={command.value}", uid=asker.peer.uid, pid=asker.peer.pid)


def _end(askers: list[Asker], succeeded: bool, text: str) -> None:
    for asker in askers:
        asker.end(succeeded, text)
