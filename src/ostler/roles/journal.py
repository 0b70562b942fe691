"""What a generation tells the outside: its logs, the log object that hooks are given, and StatsD.

Rules for editing: opened by the master, whole or not at all; workers inherit it and never open a log by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from ostler.config.address import StatsdAddress
from ostler.config.settings import Settings
from ostler.lifecycle import Observer
from ostler.observe.hooks import HookArguments
from ostler.observe.line import Loss
from ostler.observe.logs import Logs
from ostler.observe.plan import LogPlan
from ostler.observe.remote import Wiring
from ostler.observe.resolve import ForkedResolver, Resolver, ThreadResolver
from ostler.observe.statsd import LogMetrics, Statsd, StatsdObserver
from ostler.process.fork import fork, fork_orphan

USUAL_LOGGER = "gunicorn.glogging.Logger"


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """Where metrics go, and how they are called there."""

    address: StatsdAddress
    prefix: str
    tags: str

    @classmethod
    def of(cls, settings: Settings) -> "MetricsPlan | None":
        """None: no StatsD; or `logger_class` is the user's, and then, as in Gunicorn, that is all there is."""
        if settings.statsd_host is None or settings.logger_class != USUAL_LOGGER:
            return None
        return cls(settings.statsd_host, settings.statsd_prefix, settings.dogstatsd_tags)


@dataclass(frozen=True, slots=True)
class Journal:
    """log: the object that hooks know as server.log and worker.log."""

    logs: Logs
    log: object
    statsd: Statsd | None
    metrics: MetricsPlan | None

    def serves(self, settings: Settings) -> bool:
        """Whether a generation with these settings may share it. Raises ConfigError."""
        if settings.logger_class != USUAL_LOGGER:
            return False  # it may make its set-up depend on any setting
        return self.logs.serves(LogPlan.of(settings)) and self.metrics == MetricsPlan.of(settings)

    def observers(self, hook_arguments: HookArguments) -> list[Observer]:
        """Those of a worker."""
        own = hook_arguments.access_observer(self.log)
        access = self.logs.access_observer() if own is None else self.logs.skipping(own)
        found: list[Observer] = [] if access is None else [access]
        return found if self.statsd is None else [*found, StatsdObserver(self.statsd)]

    def enter_worker(self) -> None:
        """In a worker, right after the fork: threads are allowed there."""
        self.logs.install()
        self.logs.threaded()
        if self.statsd is not None:
            self.statsd.remote.resolve_with(ThreadResolver)

    def enter_mold(self, prepare_child: Callable[[], None], timeout_s: float = 0.0) -> bool:
        """In a mold, or a worker that becomes one: it has one thread. prepare_child: as of ForkedResolver.

        False when a thread of the logs does not end within that time.
        """

        def resolver() -> Resolver:
            return ForkedResolver(_fork_orphan, prepare_child)

        self.logs.install()
        if self.statsd is not None:
            self.statsd.remote.resolve_with(resolver)
        return self.logs.be_single(resolver, timeout_s)

    def sockets(self) -> list[int]:
        """Descriptors of what is open to other machines and processes."""
        remotes = [each.remote for each in (self.logs.syslog, self.statsd) if each is not None]
        return [fd for fd in (remote.fileno() for remote in remotes) if fd is not None]

    def flush(self) -> None:
        """About once a second, in each process: what waits for a daemon of syslog or StatsD is sent."""
        if self.logs.syslog is not None:
            self.logs.syslog.remote.flush()
        if self.statsd is not None:
            self.statsd.remote.flush()

    def close(self, timeout_s: float = 0.0) -> None:
        if self.statsd is not None:
            self.statsd.remote.close()  # first: it may have losses to tell
        self.logs.close(timeout_s)


def _fork_orphan(run: Callable[[], NoReturn]) -> int:
    """As fork, but nobody here has to reap it."""
    fork_orphan(lambda _between: run())
    return 0


def open_journal(settings: Settings, hook_arguments: HookArguments, prepare_child: Callable[[], None]) -> Journal:
    """prepare_child: as of ForkedResolver. Raises ConfigError, and has changed nothing then."""

    def resolver() -> Resolver:
        return ForkedResolver(fork, prepare_child)

    logs = Logs(LogPlan.of(settings), resolvers=resolver)
    for former in [each for each in logs.error.filters if isinstance(each, LogMetrics)]:
        logs.error.removeFilter(former)  # of another generation: users' filters stay, ours does not
    metrics = MetricsPlan.of(settings)
    statsd = None
    if metrics is not None:

        def tell_of_loss(loss: Loss) -> None:
            logs.error.warning("%s", loss.told("metrics"))

        statsd = Statsd(metrics.address, metrics.prefix, metrics.tags, Wiring(resolver, tell_of_loss))
        logs.error.addFilter(LogMetrics(statsd))
    try:
        log = hook_arguments.open_logger(settings, logs)
    except BaseException:
        logs.withdraw()
        raise
    logs.remember()
    return Journal(logs, log, statsd, metrics)
