"""The logs of one generation: its files, sinks and handlers, and what HUP, USR1, forks and rotation do to them.

    Logs(plan)      opens everything and makes it the logs of the process, or raises and has changed nothing
    install()       these are the logs of the process again (a worker of a former generation is forked)
    remember()      what hooks or a Logger class have changed on the loggers belongs to these logs
    reopen(), tick()  in the master: USR1, once a second; what they return goes to the workers' take()

Rules for editing. The master opens, reopens and rotates; workers are given descriptors, because they may lack the right
to open a file by its name. Filters and handlers that users put on the two loggers are theirs, and stay.
"""

import logging
import os
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ostler.errors import ConfigError
from ostler.lifecycle import Observer
from ostler.logline import escape, fields
from ostler.observe.access import JSON, AccessLog, Skipping, compile_format
from ostler.observe.capture import STANDARD, STDERR, STDOUT
from ostler.observe.handlers import MESSAGE, ErrorStream, LoggerState, SinkHandler, StraightWay, TaggedHandler
from ostler.observe.line import Loss
from ostler.observe.outlet import LogFileUnusable
from ostler.observe.plan import LogPlan
from ostler.observe.records import ACCESS_LOGGER, ERROR_LOGGER, LEVELS, error_formatter, error_stream_line, loss_line
from ostler.observe.remote import Wiring
from ostler.observe.resolve import Resolver, ThreadResolver
from ostler.observe.sinks import FileOptions, LogFile
from ostler.observe.syslog import Syslog, tag_of
from ostler.observe.userfiles import reopen_file_handlers

Reopened = tuple[tuple[str, ...], tuple[int, ...]]
"""Names and, in the same order, descriptors that the workers are to `take`."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """monotonic: seconds, for reports. wall: seconds since the epoch, for time stamps and rotation."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Logs:
    """All logs of one generation.

    error, access_log: the loggers. error_stream: the error log for raw text (wsgi.errors). access: the file behind the
    access log, None when there is none. way: how access lines get there.
    """

    # The loggers are the process's, and so is the answer to whose they are.
    _installed: ClassVar["Logs | None"] = None
    # The level that an operator has chosen for this process, in place of the settings'; None: none.
    _chosen: ClassVar[int | None] = None

    def __init__(
        self, plan: LogPlan, clocks: Clocks | None = None, resolvers: Callable[[], Resolver] = ThreadResolver
    ) -> None:
        """resolvers: for the host name of a syslog daemon, in the process that opens the logs (later: `threaded`).

        Raises ConfigError, and has changed nothing then.
        """
        if plan.loglevel.lower() not in LEVELS:
            raise ConfigError(f'loglevel: expected one of {", ".join(LEVELS)}, got "{escape(plan.loglevel)}"')
        self.plan = plan
        self._clocks = clocks or Clocks()
        self._format = compile_format(plan.access_format, self._clocks.wall) if plan.has_access_log else None
        self._options = FileOptions(plan.owner, plan.rotation, self._clocks.monotonic, self._clocks.wall)
        self._files: dict[str, LogFile] = {}  # by absolute path; or <stdout>, <stderr>
        self.syslog = self._open_syslog(resolvers)
        self.error = logging.getLogger(ERROR_LOGGER)
        self.access_log = logging.getLogger(ACCESS_LOGGER)
        self.way = StraightWay(self.access_log)
        self._usual_level: int | None = None
        if Logs._installed is not None:
            Logs._installed.change_level(None)
        former = self._states = self._loggers_now()
        try:
            error_file = self.file_for("errorlog", plan.errorlog, STDERR)
            self.access = None if plan.accesslog is None else self.file_for("accesslog", plan.accesslog, STDOUT)
            if plan.error_json:
                error_file.loss_line = loss_line
            if plan.access_format == JSON and self.access is not None:
                self.access.loss_line = loss_line
            self.error_stream = ErrorStream(error_file, error_stream_line if plan.error_json else None)
            self._error_file = error_file
            self._clear()
            self._set_up()
        except BaseException:
            for state in former:
                state.restore()
            self.close()
            raise
        self._former = None if Logs._installed is None else weakref.ref(Logs._installed)
        if Logs._installed is not None:
            Logs._installed._states = former
        Logs._installed = self
        self.remember()
        self._direct_output()

    def install(self) -> None:
        """Make these the logs of this process again. What users changed on the loggers since stays with the others."""
        former = Logs._installed
        if former is not self:
            chosen = Logs._chosen
            if former is not None:
                former.change_level(None)
                former._states = former._loggers_now()
            self.restore()
            Logs._installed = self
            self.change_level(chosen)
            self._direct_output()
        self.way.settle()

    def remember(self) -> None:
        """The loggers are set up now: as they are they belong to these logs, and are what `install` goes back to."""
        self._states = self._loggers_now()
        self.way.settle()

    def restore(self) -> None:
        """Take back what was changed on the loggers since `remember`."""
        for state in self._states:
            state.restore()
        self.way.settle()

    def withdraw(self) -> None:
        """The generation that these were opened for will not be: close them, and go back to the former ones."""
        former = None if self._former is None else self._former()
        if former is not None and Logs._installed is self:
            former.install()
        self.close()

    def change_level(self, level: int | None) -> None:
        """Of the error log of this process, for as long as nobody opens other logs; None: back to what it was."""
        if self._usual_level is not None:
            self.error.setLevel(self._usual_level)
        self._usual_level = None if level is None else self.error.level
        Logs._chosen = level
        if level is not None:
            self.error.setLevel(level)

    def serves(self, plan: LogPlan) -> bool:
        """Whether a generation with `plan` may share these."""
        return plan == self.plan

    # -- what is served --------------------------------------------------------------------------------------

    def access_observer(self) -> Observer | None:
        """Writes the access log; None when there is none."""
        if self._format is None:
            return None
        return self.skipping(AccessLog(self._format, self.way, self._clocks.monotonic))

    def skipping(self, observer: Observer) -> Observer:
        """`observer`, without the requests of access_log_skip."""
        return Skipping(observer, self.plan.access_skip) if self.plan.access_skip else observer

    # -- files -----------------------------------------------------------------------------------------------

    def reopen(self) -> Reopened:
        """USR1, in the master: open each file by its name again, those of users' FileHandlers too.

        One that cannot be opened is kept as it is, and the log says so.
        """
        done: list[tuple[str, int]] = []
        for name, log_file in self._files.items():
            try:
                fd = log_file.reopen()
            except LogFileUnusable as error:
                text = fields("log file not reopened, the former one is kept", file=name, error=error)
                self.error.error("%s", text)
            else:
                if fd is not None:
                    done.append((name, fd))
        self._direct_output()
        self._reopen_users_files()
        return _reopened(done)

    def tick(self) -> Reopened | None:
        """In the master, about once a second: write what waits, rotate what is due. None when nothing was."""
        now = self._clocks.wall()
        done: list[tuple[str, int]] = []
        for name, log_file in self._files.items():
            log_file.flush()
            if not log_file.rotation_due(now):
                continue
            try:
                done.append((name, log_file.rotate(now)))
            except LogFileUnusable as error:
                self.error.error("%s", fields("log file not rotated", file=name, error=error))
        if not done:
            return None
        self._direct_output()
        return _reopened(done)

    def flush(self) -> None:
        """In a process without threads, about once a second: write what waits."""
        for log_file in self._files.values():
            log_file.flush()

    def take(self, names: Sequence[str], fds: Sequence[int], *, others: bool = True) -> None:
        """In a worker: go on with the master's descriptors, which are closed here.

        others: open the files of users' handlers anew as well (USR1, not rotation).
        """
        if len(names) != len(fds):
            text = fields("new log files were lost on the way, the former ones are kept", files=",".join(names))
            self.error.error("%s", text)
        for name, fd in zip(names, fds, strict=False):
            if (log_file := self._files.get(name)) is None:
                os.close(fd)
            else:
                log_file.take(fd)
        self._direct_output()
        if others:
            self._reopen_users_files()

    def mend(self) -> list[str]:
        """In a worker: names of files whose descriptors the application has closed; they go on elsewhere."""
        return [name for name, log_file in self._files.items() if log_file.mend()]

    def threaded(self) -> None:
        """In a worker, after the fork: there may be threads. What the master's logs held back stays the master's."""
        for log_file in self._files.values():
            log_file.after_fork(threaded=True)
        if self.syslog is not None:
            self.syslog.remote.resolve_with(ThreadResolver)

    def be_single(self, resolvers: Callable[[], Resolver], timeout_s: float) -> bool:
        """In a process that is to have one thread: as `LineWriter.be_single`. resolvers: they start no thread."""
        if self.syslog is not None:
            self.syslog.remote.resolve_with(resolvers)
        ended = [log_file.be_single(timeout_s) for log_file in self._files.values()]
        return all(ended)

    def close(self, timeout_s: float = 0.0) -> None:
        """Write what waits, for at most that long, and close the files; for a generation of which nothing is left."""
        if self.syslog is not None:
            self.syslog.remote.close()  # first: it may have losses to tell
        for log_file in self._files.values():
            log_file.close(timeout_s)

    # -- building; also used by compat.glogging.Logger -------------------------------------------------------

    def file_for(self, setting: str, path: str, standard: int) -> LogFile:
        """The sink on `path`, "-" for descriptor `standard`; the same one each time. Raises ConfigError."""
        if path == "-":
            return self.standard(standard)
        path = os.path.abspath(path)
        if (found := self._files.get(path)) is None:
            try:
                found = LogFile.open(path, STANDARD.console, self._options)
            except LogFileUnusable as error:
                raise ConfigError(f"{setting}: cannot open {escape(path)}: {error}") from None
            self._files[path] = found
        return found

    def standard(self, fd: int) -> LogFile:
        """The sink on descriptor 1 or 2."""
        name = "<stdout>" if fd == STDOUT else "<stderr>"
        if name not in self._files:
            self._files[name] = LogFile(fd, "-", STANDARD.console, self._options)
        return self._files[name]

    def apply_logconfig(self) -> None:
        """Raises ConfigError, and has changed nothing then."""
        if self.plan.logconfig is not None:
            self.plan.logconfig.apply(self.standard)

    def _clear(self) -> None:
        """Take the server's own handlers off, those of another generation's logconfig too. Users' own stay."""
        former = set() if Logs._installed is None else Logs._installed._own()
        for logger in (self.error, self.access_log):
            for handler in logger.handlers[:]:
                if getattr(handler, "_gunicorn", False) or id(handler) in former:
                    logger.removeHandler(handler)
        self._users = {id(handler) for state in self._loggers_now() for handler in state.handlers}

    def _own(self) -> set[int]:
        return {id(handler) for state in self._states for handler in state.handlers} - self._users

    def _set_up(self) -> None:
        self.error.setLevel(LEVELS[self.plan.loglevel.lower()])
        self.access_log.setLevel(logging.INFO)
        self.error.propagate = self.access_log.propagate = False
        self.error.addHandler(SinkHandler(self._error_file, error_formatter(self.plan.error_json)))
        if self.access is not None:
            self.access_log.addHandler(SinkHandler(self.access, logging.Formatter(MESSAGE)))
        if self.syslog is not None and self.plan.syslog is not None:
            prefix = self.plan.syslog.prefix
            self.error.addHandler(TaggedHandler(self.syslog, tag_of(prefix, "error")))
            if self.plan.syslog.access:
                self.access_log.addHandler(TaggedHandler(self.syslog, tag_of(prefix, "access")))
        self.apply_logconfig()

    def _open_syslog(self, resolvers: Callable[[], Resolver]) -> Syslog | None:
        if (plan := self.plan.syslog) is None:
            return None
        return Syslog(plan.address, plan.facility, Wiring(resolvers, self._tell_of_loss, self._clocks.monotonic))

    def _tell_of_loss(self, loss: Loss) -> None:
        self.error.warning("%s", loss.told("syslog messages"))

    def _reopen_users_files(self) -> None:
        """Also those that come with these logs when they are installed again."""
        reopen_file_handlers(self.error, [handler for state in self._states for handler in state.handlers])

    def _loggers_now(self) -> tuple[LoggerState, ...]:
        return LoggerState.of(self.error), LoggerState.of(self.access_log)

    def _direct_output(self) -> None:
        """Descriptors 1 and 2 go to the error log, or back to where the server was started."""
        if Logs._installed is self:  # else the process's output is another generation's
            if self.plan.captures:
                STANDARD.capture(self._error_file.fd)
            else:
                STANDARD.release()
        for log_file in self._files.values():
            log_file.console = STANDARD.console
        for name in ("<stdout>", "<stderr>"):
            if name in self._files:
                self._files[name].refresh()


def _reopened(done: Sequence[tuple[str, int]]) -> Reopened:
    return tuple(name for name, _ in done), tuple(fd for _, fd in done)
