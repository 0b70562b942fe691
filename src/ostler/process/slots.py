"""The listeners of each slot: shared by all workers, or with `reuse_port` one per slot and TCP address. socket(7).

The master owns them: a worker that dies leaves its queue to its successor in the slot (failures R12: sockets that
belong to workers lose what waits in them). Unix sockets and those of somebody else stay shared. The sockets of a
slot that is given up are left to its last worker, who empties them; the last socket of an address never is: it waits
for the next slot that comes.

Rules for editing: generations that keep an address share its sockets (the same dict), so that a slot that is made or
given up is so for all of them.
"""

import socket as _socket
from collections.abc import Sequence
from typing import Final

from ostler.config.address import Address, TcpAddress
from ostler.errors import BindError, reason_of
from ostler.process.inherited import real_address
from ostler.process.listeners import BindOptions, Listener, listen_tcp, rebind
from ostler.process.refusal import sentence

_VACANT: Final = -1
"""The key of an address's last socket while no slot has it."""

_BySlot = dict[int, Listener]


class SlotListeners:
    """The listeners for one generation's addresses, in their order; per address one for all, or one for each slot."""

    def __init__(
        self, by_address: Sequence[_BySlot | Listener], backlog: int, slots: int, unused: Sequence[Listener] = ()
    ) -> None:
        """For `open` and `rebind`. slots: how many workers there shall be."""
        self._by_address = tuple(by_address)
        self._backlog = backlog
        self._slots = slots
        self.unused = tuple(unused)
        """Of those that were passed to `open`: not asked for any more, the caller's to close."""

    @classmethod
    def open(
        cls, passed: Sequence[Listener], addresses: Sequence[Address], backlog: int, options: BindOptions, slots: int
    ) -> "SlotListeners":
        """passed: what systemd or the former master gave us; of the latter's, sockets of one address are the slots.

        Raises AddressInUse or BindError with nothing changed.
        """
        groups = _grouped(passed)
        chosen = rebind([group[0] for group in groups], addresses, backlog, options)
        by_address: list[_BySlot | Listener] = []
        for listener in chosen:
            group = next((each for each in groups if each[0] is listener), [listener])
            # Without reuse_port now, all workers have all sockets of the address: clients wait in each of them.
            by_address += [_slots(group)] if _divisible(listener, options) else group
        self = cls(by_address, backlog, slots)
        kept = self.all()
        self.unused = tuple(each for each in passed if each not in kept)
        return self

    def rebind(
        self,
        addresses: Sequence[Address],
        backlog: int,
        options: BindOptions,
        slots: int,
        others: Sequence["SlotListeners"] = (),
    ) -> "SlotListeners":
        """Those of the next generation: an address that stays keeps all its sockets. Nothing is closed.

        others: of further generations that live; an address that only those have is kept as well, for it could not be
        bound beside them. A changed `reuse_port` applies to addresses that are new. Raises AddressInUse or BindError.
        """
        former = {id(_front(each)): each for living in (self, *others) for each in living._by_address}
        fronts = [front for front in map(_front, former.values()) if not front.given_up]
        chosen = rebind(fronts, addresses, backlog, options)
        by_address = []
        for listener in chosen:
            made = _slots([listener]) if _divisible(listener, options) else listener
            by_address.append(former.get(id(listener), made))
        for each in by_address:
            if isinstance(each, dict):
                for listener in each.values():
                    listener.socket.listen(backlog)  # changes the backlog, loses nothing
        return SlotListeners(by_address, backlog, slots)

    def of(self, slot: int) -> tuple[Listener, ...]:
        """What the worker in `slot` listens on, one for each address; made when the slot is new. Raises BindError.

        Slot 0 has the sockets, too, of slots that a former master had and this one does not: the kernel sends clients
        there as long as they are open, and to close them before they are emptied would lose some.
        """
        own = [self._at(each, slot) if isinstance(each, dict) else each for each in self._by_address]
        if slot == 0:
            for each in self._by_address:
                if isinstance(each, dict):
                    own += [listener for number, listener in each.items() if number >= self._slots]
        return tuple(own)

    def fronts(self) -> tuple[Listener, ...]:
        """One for each address: to be shown."""
        return tuple(_front(each) for each in self._by_address)

    def all(self) -> tuple[Listener, ...]:
        found: list[Listener] = []
        for each in self._by_address:
            found += each.values() if isinstance(each, dict) else (each,)
        return tuple(found)

    def let_go(self, slot: int) -> tuple[Listener, ...]:
        """The slot is given up: its own sockets, closed here, are its last worker's now, to empty and to shut.

        Not the last socket of an address: it stays, for the next slot that comes.
        """
        gone: list[Listener] = []
        for each in self._by_address:
            if not isinstance(each, dict) or slot not in each:
                continue
            listener = each.pop(slot)
            if each:
                listener.close()
                gone.append(listener)
            else:
                each[_VACANT] = listener
        return tuple(gone)

    def _at(self, by_slot: _BySlot, slot: int) -> Listener:
        if slot not in by_slot:
            vacant = _VACANT in by_slot
            by_slot[slot] = by_slot.pop(_VACANT) if vacant else bind_slot(_front(by_slot), self._backlog)
            by_slot[slot].slot = slot
        return by_slot[slot]


def bind_slot(beside: Listener, backlog: int) -> Listener:
    """A listener on the same address and port as a TCP listener of ours. Raises BindError."""
    try:
        # It may come from a master that had no use for that.
        beside.socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
        sock = listen_tcp(beside.socket.family, beside.socket.getsockname(), backlog, reuse_port=True)
    except OSError as error:
        why = f"no further socket with SO_REUSEPORT: {reason_of(error)}; restart Ostler, or turn reuse_port off"
        raise BindError(sentence(beside.address, why)) from error
    sock.setblocking(False)
    return Listener(sock, beside.address)


def _slots(group: Sequence[Listener]) -> _BySlot:
    for slot, listener in enumerate(group):
        listener.slot = slot
    return dict(enumerate(group))


def _front(each: _BySlot | Listener) -> Listener:
    return next(iter(each.values())) if isinstance(each, dict) else each


def _divisible(listener: Listener, options: BindOptions) -> bool:
    return options.reuse_port and isinstance(listener.address, TcpAddress) and listener.origin is None


def _grouped(listeners: Sequence[Listener]) -> list[list[Listener]]:
    """Those that are ours and on the same TCP address and port belong together."""
    groups: list[list[Listener]] = []
    for listener in listeners:
        where = real_address(listener.socket)
        if listener.origin is None and isinstance(where, TcpAddress):
            group = next((each for each in groups if real_address(each[0].socket) == where), None)
            if group is not None and group[0].origin is None:
                group.append(listener)
                continue
        groups.append([listener])
    return groups
