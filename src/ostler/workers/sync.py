"""sync: one request at a time, on the main thread, as applications that know nothing of threads expect.

The main thread leads the reactor and runs the application on the spot. A call that takes longer than a few
milliseconds loses the lead to the standby thread, which reads, flushes, keeps deadlines and hands connections over,
and never runs application code; the main thread takes the lead back when its queue is empty.
"""

from ostler.workers.base import ThreadedWorker
from ostler.workers.timed import MainWay


class SyncWorker(ThreadedWorker):
    """One application call at a time."""

    leader_beats = False
    way = MainWay

    @classmethod
    def permits(cls, threads: int) -> int:
        """Always one."""
        return 1

    def serve(self) -> None:
        """See `Worker`."""
        reactor, crew = self.reactor, self.reactor.crew
        crew.pick_up()
        threads = self.start(self._stand_by, ["ostler-standby"], least=0)
        while not reactor.finished:
            reactor.lead(may_run=True)
            crew.reclaim(reactor.wake)
        for thread in threads:
            thread.join(timeout_s=1.0)
        if self.failure is not None:
            raise self.failure

    def _stand_by(self) -> None:
        reactor = self.reactor
        while not reactor.finished and reactor.crew.stand_by():
            reactor.lead(may_run=False)
        if reactor.overdue is not None and reactor.overdue.stranded:
            reactor.leave()  # nobody else can: the main thread does not come back
