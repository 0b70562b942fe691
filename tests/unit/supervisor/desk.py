"""A supervisor with somebody who forks for it: pids are 100 + age, and every fork succeeds unless told otherwise."""

from typing import Any

from ostler.supervisor.actions import Action, Fork, Log, ReloadEnded, StartMold
from ostler.supervisor.events import Event, Forked, MoldReady, SettingsAccepted, WorkerReady
from ostler.supervisor.policy import GenerationSpec
from ostler.supervisor.supervisor import Supervisor


class Desk:
    def __init__(self, workers: int = 2, pages: int = 40) -> None:
        self.supervisor = Supervisor(pages)
        self.workers = workers
        self.now = 0.0

    def tell(self, event: Event, at: float | None = None) -> list[Action]:
        """Tell a fact (at a time); returns the orders. Forks are answered, and what that orders is included."""
        self.now = self.now if at is None else at
        orders = self.supervisor.handle(event, self.now)
        for fork in [order for order in orders if isinstance(order, Fork | StartMold)]:
            orders += self.tell(Forked(fork.age, 100 + fork.age))
        return orders

    def accept(self, number: int, workers: int | None = None, **more: Any) -> list[Action]:
        chosen = {"timeout_s": 30.0, "graceful_timeout_s": 30.0, "boot_timeout_s": 300.0} | more
        return self.tell(SettingsAccepted(GenerationSpec(number, workers or self.workers, **chosen)))

    def start(self, **more: Any) -> list[int]:
        """The first generation, all ready; returns the workers' pids: 101, 102, ..., or 102, 103, ... behind a mold."""
        orders = self.accept(1, None, **more)
        if "preload" in more:
            orders = self.tell(MoldReady(101, 300))
        pids = forked(orders)
        for pid in pids:
            self.tell(WorkerReady(pid, 5))
        return pids


def preloaded(workers: int = 2, **more: Any) -> Desk:
    """A mold, 101, and workers 102, 103, ..."""
    desk = Desk(workers)
    desk.start(preload=True, **more)
    return desk


def forked(orders: list[Action]) -> list[int]:
    return [100 + order.age for order in orders if isinstance(order, Fork)]


def logged(orders: list[Action]) -> str:
    return "\n".join(order.text for order in orders if isinstance(order, Log))


def without_logs(orders: list[Action]) -> list[Action]:
    """What is done to processes."""
    return [order for order in orders if not isinstance(order, Log | ReloadEnded)]


def ended(orders: list[Action]) -> list[ReloadEnded]:
    return [order for order in orders if isinstance(order, ReloadEnded)]
