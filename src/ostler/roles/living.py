"""The generations of which something lives: their listeners and logs, each once, and what is left when one is over.

Rules for editing: no decision is taken here; the supervisor says which one is to be forgotten.
"""

from ostler.process.listeners import Listener
from ostler.roles.generation import Generation
from ostler.roles.journal import Journal


class LivingGenerations:
    """There is always one: that of a server that did not start is needed to its end."""

    def __init__(self) -> None:
        self._by_number: dict[int, Generation] = {}  # in their order: the last one is the newest
        self.beside_master = False
        """Another master has listeners of ours, by USR2."""

    def __getitem__(self, number: int) -> Generation:
        return self._by_number[number]

    def add(self, generation: Generation) -> None:
        self._by_number[generation.number] = generation

    def all(self) -> list[Generation]:
        return list(self._by_number.values())

    def newest(self) -> Generation:
        """The one that was made last, or gone back to since."""
        return next(reversed(self._by_number.values()))

    def prefer(self, number: int) -> None:
        """It serves: those that were made after it, if any, were taken back."""
        if self.newest().number != number:
            self._by_number[number] = self._by_number.pop(number)
            self.newest().surroundings.put_back()

    def listeners(self) -> list[Listener]:
        """Those of every living generation and slot, once each."""
        found: dict[int, Listener] = {}
        for generation in self._by_number.values():
            found |= {id(listener): listener for listener in generation.listeners.all()}
        return list(found.values())

    def journals(self) -> list[Journal]:
        return list({id(each.journal): each.journal for each in self._by_number.values()}.values())

    def disown_listeners(self) -> None:
        """Another master has them from now on: nobody shuts or unlinks them."""
        self.beside_master = True
        for listener in self.listeners():
            listener.disown()

    def own_listeners(self) -> None:
        """The other master is gone."""
        self.beside_master = False
        for listener in self.listeners():
            listener.own()

    def close_listeners(self) -> None:
        for listener in self.listeners():
            listener.shutdown()
            listener.unlink()

    def remove(self, number: int) -> Generation | None:
        """It is over: what only it had is closed, but for its journal. None: it was the last, and stays."""
        if len(self._by_number) == 1:
            return None
        was_newest = self.newest().number == number
        gone = self._by_number.pop(number)
        kept = self.listeners()
        for listener in gone.listeners.all():
            if listener not in kept:
                listener.shutdown()
                listener.unlink()
        if was_newest:
            self.newest().surroundings.put_back()
        return gone
