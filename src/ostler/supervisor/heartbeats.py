"""For how long each worker has been silent, as the pages told it last; with grace after the machine slept, or we did.

Rules for editing: no decision here; a worker is silent since its last beat, its readiness, or our waking up, whatever
came last. (A worker that boots does not beat: boot_timeout looks after it.)
"""

from collections.abc import Iterable

from ostler.supervisor.events import Beats
from ostler.supervisor.handle import Handle
from ostler.supervisor.policy import ASLEEP_S


class Heartbeats:
    """Silences by age, in seconds."""

    def __init__(self) -> None:
        self.awake_since = float("-inf")
        """When the machine slept last, or we did, as far as we have noticed."""
        self._heard_at = float("-inf")
        self._silent_s: dict[int, float] = {}

    def note(self, event: Beats, handles: Iterable[Handle], now: float) -> None:
        if now - self._heard_at > ASLEEP_S:
            self.awake_since = now  # we were not there to see them beat, or they could not either
        self._heard_at = now
        self._silent_s = {}
        for handle in handles:
            beat = event.last.get(handle.pid or 0)
            if beat is not None and handle.ready_at is not None:
                self._silent_s[handle.age] = now - max(beat, handle.ready_at, self.awake_since)

    def silent_s(self, handle: Handle) -> float:
        """0 for one that is not known to be silent."""
        return self._silent_s.get(handle.age, 0.0)
