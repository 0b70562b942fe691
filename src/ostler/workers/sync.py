"""sync: one request at a time, on the main thread, as applications that know nothing of threads expect.

The main thread leads the reactor and runs the application on the spot. A call that takes longer than a few
milliseconds loses the lead to the standby thread, which reads, flushes, keeps deadlines and hands connections over,
and never runs application code; the main thread takes the lead back when its queue is empty.
"""

from ostler import real
from ostler.workers.base import ThreadedWorker


class SyncWorker(ThreadedWorker):
    """One application call at a time."""

    leader_beats = False

    @classmethod
    def permits(cls, threads: int) -> int:
        """Always one."""
        return 1

    def serve(self) -> None:
        """See `Worker`."""
        reactor, crew = self.reactor, self.reactor.crew
        standby = real.Thread(self._stand_by, "ostler-standby")
        crew.pick_up()
        standby.start()
        while not reactor.finished:
            reactor.lead(may_run=True)
            crew.reclaim(reactor.wake)
        standby.join(timeout_s=1.0)

    def _stand_by(self) -> None:
        reactor = self.reactor
        while not reactor.finished and reactor.crew.stand_by():
            reactor.lead(may_run=False)
