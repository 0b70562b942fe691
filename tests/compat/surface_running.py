"""What Gunicorn 27.0.1 does while it runs, as typed rows: its signals, commands, exit statuses, atoms and metrics.

Sections 1.5 to 1.7 of its surface; surface.py has the others, and all of them together.
"""

from typing import Final

from tests.compat.rows import Fact, Signal, differs

_QUICK = differs("a worker that hangs is killed after 2 s; Gunicorn waits `graceful_timeout` for it")
_IGNORED = differs("ignored, where Gunicorn's worker dies")
SIGNALS: Final = (
    Signal(
        "TERM",
        "master",
        "graceful stop; INT or QUIT meanwhile makes it quick",
        differs("listeners are closed last: who waits in the backlog is answered first"),
    ),
    Signal("INT", "master", "quick stop", _QUICK),
    Signal("QUIT", "master", "quick stop", _QUICK),
    Signal(
        "HUP",
        "master",
        "settings and logs anew, then workers",
        differs(
            "one new worker at a time, and an old one leaves when its successor serves; with settings or code that "
            "cannot be loaded, all stays as it was"
        ),
    ),
    Signal(
        "TTIN", "master", "one worker more", differs("up to 32 more than twice the `workers` of the start")
    ),
    Signal("TTOU", "master", "one worker less, never none"),
    Signal("USR1", "master", "logs are opened anew, in workers too"),
    Signal(
        "USR2",
        "master",
        "a second master on the same listeners",
        differs("ignored as PID 1, as a container ends with its first process; systemd is told of the new master"),
    ),
    Signal("WINCH", "master", "of a daemon: no workers any more; else nothing"),
    Signal(
        "CHLD",
        "master",
        "a dead worker is reaped and replaced",
        differs("also one that exits with 3 or 4, which stops Gunicorn; only before anything serves is that the end"),
    ),
    Signal(
        "TERM",
        "worker",
        "finishes its work and exits",
        differs("it asks for a successor, and serves until that is ready"),
    ),
    Signal("INT", "worker", "worker_int, then exits with 0"),
    Signal("QUIT", "worker", "worker_int, then exits with 0"),
    Signal("HUP", "worker", "not meant for it", _IGNORED),
    Signal(
        "USR1", "worker", "logs are opened anew", differs("in all processes: the master opens the files of all")
    ),
    Signal("USR2", "worker", "not meant for it", _IGNORED),
    Signal("WINCH", "worker", "ignored"),
    Signal("ABRT", "worker", "worker_abort, then exits with 1"),
)

COMMANDS: Final = (
    Fact(
        "command",
        "gunicorn",
        "the console script serves",
        differs("`ostler`; `ostler settings` is a command, so a module of that name is `settings:application`"),
    ),
    Fact("command", "python -m gunicorn", "serves", differs("`python -m ostler`")),
    Fact(
        "command",
        "use = egg:gunicorn#main",
        "a PasteDeploy file's server section gives settings",
        differs("`pserve` needs `egg:ostler#main`; `--paste` takes the settings of either"),
    ),
    Fact("command", "gunicornc", "the control client", differs("its `dirty` commands say that there is no dirty pool")),
    Fact("command", "--version", "name and version", differs("those of Ostler")),
    Fact("command", "--help", "the flags"),
)

_FIRST = differs("only before anything serves; after that the worker is tried again, or the reload fails")
EXIT_CODES: Final = (
    Fact("exit", "0 stop", "after TERM, INT or QUIT"),
    Fact("exit", "0 check", "`--check-config` of good settings"),
    Fact("exit", "1 settings", "settings that cannot be used"),
    Fact("exit", "1 no application", "nothing says what to serve"),
    Fact(
        "exit",
        "1 bind",
        "nothing can be bound, five times with a second between",
        differs("only an address in use is tried again; what waiting does not cure ends at once"),
    ),
    Fact("exit", "1 check", "`--check-config` of an application that cannot be loaded"),
    Fact("exit", "1 pidfile", "the pid file is another living server's"),
    Fact("exit", "2 usage", "the command line cannot be understood"),
    Fact("exit", "3 boot", "the application raises while it is imported", _FIRST),
    Fact("exit", "4 application", "the application is not there", _FIRST),
)

_MEANINGS: Final = {
    "h": "the client's address",
    "l": "always `-`",
    "u": "the user of Basic authentication",
    "t": "date and time",
    "r": "the request line",
    "m": "the method",
    "U": "the path, without the query",
    "q": "the query",
    "H": "the protocol",
    "s": "the status",
    "B": "bytes of the body, as a number",
    "b": "bytes of the body, or `-`",
    "f": "Referer",
    "a": "User-Agent",
    "T": "seconds",
    "D": "microseconds",
    "M": "milliseconds",
    "L": "seconds with six decimals",
    "p": "the worker's pid, in angle brackets",
    "{header}i": "a field of the request",
    "{header}o": "a field of the response",
    "{variable}e": "a key of the environ",
    "record.args": "the record has all atoms as a dict, for formatters and filters",
}
ATOMS: Final = tuple(Fact("atom", name, meaning) for name, meaning in _MEANINGS.items())

_LINES = differs("counts what is logged; Gunicorn also counts calls that `loglevel` suppresses")
METRICS: Final = (
    Fact("statsd", "gunicorn.requests", "counter: requests"),
    Fact("statsd", "gunicorn.request.status", "counter of each status, `gunicorn.request.status.200`"),
    Fact("statsd", "gunicorn.request.duration", "timer, milliseconds"),
    Fact(
        "statsd",
        "gunicorn.workers",
        "gauge: workers",
        differs("workers that finish their last requests count until they are gone"),
    ),
    Fact("statsd", "gunicorn.backlog", "histogram: connections that wait to be accepted"),
    Fact("statsd", "gunicorn.log.critical", "counter: lines of that level", _LINES),
    Fact(
        "statsd",
        "gunicorn.log.error",
        "counter: lines of that level",
        differs("counts what is logged, and a line with a traceback as `gunicorn.log.exception`"),
    ),
    Fact("statsd", "gunicorn.log.warning", "counter: lines of that level", _LINES),
    Fact("statsd", "gunicorn.log.exception", "counter: errors with a traceback", _LINES),
    Fact(
        "statsd",
        "extra",
        "a log call's own `metric`, `value` and `mtype`",
        differs('sent if the call is logged; those of `logging.getLogger("gunicorn.error")` count, too'),
    ),
)
