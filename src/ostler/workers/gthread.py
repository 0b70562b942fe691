"""gthread: `threads` requests at a time, each on the thread that read it.

There is one thread more than application calls may run, so somebody always leads. A fast request is read, run and
answered by the leader; only a slow one costs a second thread, which takes the lead over. The main thread runs no
application code: it is free for signal handlers.
"""

from ostler.workers.base import ThreadedWorker


class ThreadWorker(ThreadedWorker):
    """Several application calls at a time."""

    leader_beats = True
    multithread = True

    def serve(self) -> None:
        """See `Worker`."""
        threads = self.start(self._work, [f"ostler-{number}" for number in range(self.threads + 1)], least=2)
        self.reactor.done.wait()
        for thread in threads:
            thread.join(timeout_s=0.2)
        if self.failure is not None:
            raise self.failure

    def _work(self) -> None:
        reactor = self.reactor
        while not reactor.finished and reactor.crew.stand_by():
            reactor.lead(may_run=True)
