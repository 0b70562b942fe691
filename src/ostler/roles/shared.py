"""What every process of the server shares, and what the master's parts tell each other.

Rules for editing: made once; callbacks are set by who answers them, before the first fork.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ostler.drivers.transfer import TransferSockets
from ostler.observe.hooks import MasterFacts, MasterHooks
from ostler.supervisor.actions import ReloadEnded
from ostler.workers.foreign import WorkerArguments


@dataclass(slots=True)
class Shared:
    """Made by the master before the first fork."""

    transfer: TransferSockets
    hook_arguments: WorkerArguments
    facts: MasterFacts
    hooks: MasterHooks
    close_in_child: Callable[[], None] = field(default=lambda: None)  # the master's own descriptors
    leave_all: Callable[[], None] = field(default=lambda: None)  # the same, channels and listeners too
    serves: Callable[[], None] = field(default=lambda: None)  # called when the first worker of a generation is ready
    told: Callable[[str], None] = field(default=lambda text: None)  # called with each line of the supervisor's
    reload_ended: Callable[[ReloadEnded], None] = field(default=lambda ended: None)
    lame_duck: Callable[[float], None] = field(default=lambda seconds: None)  # called when readiness begins to fail
