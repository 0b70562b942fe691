"""What the master measures for StatsD, about once a second: its workers, and what waits in the backlogs.

Rules for editing: numbers only; who decides by them looks for itself.
"""

from ostler.roles.perform import Performer


class Gauges:
    """Of one master."""

    def __init__(self, performer: Performer) -> None:
        self._performer = performer
        self._workers_seen = 0

    def each_second(self) -> None:
        """Say what has changed, and the backlog if that is wanted."""
        performer = self._performer
        workers = len(list(performer.children.workers()))
        if workers != self._workers_seen:
            self._workers_seen = workers
            performer.gauge("gunicorn.workers", workers)
        if performer.newest().settings.enable_backlog_metric:
            queued = [listener.queued() for listener in performer.generations.listeners()]
            if any(each is not None for each in queued):
                performer.gauge("gunicorn.backlog", sum(each or 0 for each in queued), "histogram")
