"""Who waits for which reload, with askers that only listen."""

import pytest

from ostler.control.protocol import Command, Request
from ostler.process.peer import Peer
from ostler.roles.commands import Commands
from ostler.supervisor.actions import ReloadEnded
from ostler.supervisor.events import SettingsAccepted, SettingsRejected
from ostler.supervisor.policy import GenerationSpec


class Asker:
    peer = Peer(7, 0)
    gone = False

    def __init__(self):
        self.heard = None

    def tell(self, text):
        pass

    def end(self, succeeded, text):
        self.heard = self.heard or (succeeded, text)


class Server:
    """What it is asked is put into it."""

    def __init__(self):
        self.waiting = []

    def hears(self, fd, ask):
        ask(self.waiting.pop(), Request(Command.RELOAD))
        return True


class Desk:
    """Nobody asks anything there."""

    def reload_begins(self):
        pass

    def reload_ended(self, ended):
        pass


class Operators:
    def __init__(self):
        self.server = Server()
        self.commands = Commands(self.server, None, lambda asked_by: None, lambda asker: None, Desk())

    def reload(self):
        asker = Asker()
        self.server.waiting.append(asker)
        self.commands.hears(0)
        return asker

    def accept(self, number):
        self.commands.pass_on(SettingsAccepted(GenerationSpec(number, 2, 30.0, 30.0, 60.0)), lambda event: None)

    def end(self, reload, generation, succeeded):
        self.commands.reload_ended(ReloadEnded(succeeded, generation, f"generation {generation}", reload))


@pytest.fixture
def operators():
    return Operators()


def test_a_command_hears_of_its_own_reload_though_a_later_one_failed(operators):
    first = operators.reload()
    operators.accept(2)
    second = operators.reload()
    operators.accept(3)
    operators.end(reload=3, generation=2, succeeded=False)
    assert (first.heard, second.heard) == (None, (False, "generation 2"))
    operators.end(reload=2, generation=2, succeeded=True)
    assert first.heard == (True, "generation 2")


def test_a_command_whose_reload_was_overtaken_hears_of_the_one_that_did(operators):
    first = operators.reload()
    operators.accept(2)
    second = operators.reload()
    operators.accept(3)
    operators.end(reload=3, generation=3, succeeded=True)
    assert first.heard == second.heard == (True, "generation 3")


def test_when_all_that_was_overtaken_has_failed_everybody_hears_so(operators):
    first = operators.reload()
    operators.accept(2)
    second = operators.reload()
    operators.accept(3)
    operators.end(reload=3, generation=1, succeeded=False)
    assert first.heard == second.heard == (False, "generation 1")


def test_settings_that_are_refused_end_the_commands_that_waited_for_them_only(operators):
    first = operators.reload()
    operators.accept(2)
    second = operators.reload()
    operators.commands.pass_on(SettingsRejected("no"), lambda event: operators.end(None, 2, False))
    assert (first.heard, second.heard) == (None, (False, "generation 2"))
