"""Why a worker hangs or died, and what to do about it: the one home of causes and cures.

A cause's value is what a log line says after `cause=`; its cure is what an operator, or the developer whom he calls,
does first.

Rules for editing: pure text, one sentence each, in the imperative; a cure names settings by their names, and nothing
that is not there. A new cause needs a cure: a test asks each for one.
"""

from enum import Enum
from typing import Final


class Cause(Enum):
    """Values are for people, and stay as they are: scripts look for them."""

    HANG = "the application does not come back"
    DEADLOCK = "it waits for a lock or another thread"
    HANG_IN_C = "C code holds the GIL"
    BUSY_LOOP = "it computes without end"
    SLEEP = "it sleeps"
    SLOW_QUERY = "it waits for a database"
    SLOW_PEER = "it waits for another server"
    SLOW_PROGRAM = "it waits for another program"
    SLOW_DISK = "it waits for a disk or a network file system"
    SLOW_REQUEST = "a request takes long"
    STOPPED = "the process is stopped by a signal or a debugger"
    OUT_OF_MEMORY = "out of memory"
    CRASH = "C code crashed"
    ABORT = "C code called abort()"
    EXIT_CALLED = "the application ended the process"
    EXITED = "the process ended itself"
    LEFT = "it left by itself, or INT or QUIT was sent to it"
    BOOT_FAILED = "the application does not start"
    BOOT_SLOW = "the application takes long to start"
    SLOW_STOP = "requests were not over when it had to end"
    CUT = "it was to leave at once, and did not"
    DESCRIPTORS = "too many open files"
    THREADS = "too many threads"
    PROCESSES = "too many processes"
    DISK_FULL = "no space left on a disk"
    DESCRIPTORS_TAKEN = "the application closed descriptors of the server"
    FORKED = "a process that the application forked came back into the server"
    LEAK = "memory that is kept"
    RESOURCE_LIMIT = "a limit of the system was reached"
    FORBIDDEN_CALL = "a system call is not allowed here"
    KILLED_BY_SOMEBODY = "somebody has sent the signal"

    def __str__(self) -> str:
        return self.value


_TIMEOUT_OF_CALL: Final = "give the call a timeout of its own"
_SLOW_BY_DESIGN: Final = "if it may take so long, raise the timeout, or do it outside of a request"

_CURES: Final = {
    Cause.HANG: f"look at this line: what does it wait for? {_TIMEOUT_OF_CALL}; {_SLOW_BY_DESIGN}",
    Cause.DEADLOCK: (
        "take locks in the same order everywhere, and give acquire(), wait(), get(), join() and result() a timeout"
    ),
    Cause.HANG_IN_C: (
        f"{_TIMEOUT_OF_CALL}, bound its input, or run it in another process: no other thread can run meanwhile"
    ),
    Cause.BUSY_LOOP: f"bound the loop or its input; {_SLOW_BY_DESIGN}",
    Cause.SLEEP: "do not sleep in a request: do it later, or in another process",
    Cause.SLOW_QUERY: f"look at the query and its indexes, and set a statement timeout; {_SLOW_BY_DESIGN}",
    Cause.SLOW_PEER: f"{_TIMEOUT_OF_CALL}, and look at the server that it asks",
    Cause.SLOW_PROGRAM: "give subprocess a timeout, and look at the program that it runs",
    Cause.SLOW_DISK: "look at the disk or the mount (dmesg, iostat); no signal ends such a wait",
    Cause.SLOW_REQUEST: f"look at this line: {_TIMEOUT_OF_CALL}; {_SLOW_BY_DESIGN}",
    Cause.STOPPED: "send SIGCONT, or let the debugger go on; timeout = 0 while you debug",
    Cause.OUT_OF_MEMORY: (
        "raise the memory limit, use fewer workers, or set max_worker_memory below the limit; "
        "trace_memory says which line keeps it"
    ),
    Cause.CRASH: "update the C extension that this line calls; a core file (coredumpctl) shows where in C it was",
    Cause.ABORT: "read what the library has written to stderr before (an assertion, a damaged heap), and update it",
    Cause.EXIT_CALLED: "return a response or raise an exception instead of os._exit()",
    Cause.EXITED: "look for exit() in C code and for who sends ABRT; what it has printed is in the log",
    Cause.LEFT: "send signals to the master alone; it ends its workers itself",
    Cause.BOOT_FAILED: "mend what the traceback says, and reload; ostler --check-config tries it before",
    Cause.BOOT_SLOW: (
        "do less while the application is imported (python -X importtime lists what takes long); "
        "preload_app imports once for all workers; boot_timeout may be raised"
    ),
    Cause.CUT: "stop gracefully (TERM, ostler stop) where requests are to be finished: INT and QUIT do not wait",
    Cause.SLOW_STOP: "raise graceful_timeout, or let such requests end earlier",
    Cause.DESCRIPTORS: "close what the application opens (files, sockets, pools), or raise the limit (LimitNOFILE)",
    Cause.THREADS: "start threads once, not for each request, and bound pools; the limit is ulimit -u or TasksMax",
    Cause.PROCESSES: "raise the limit of processes (ulimit -u, TasksMax=, pids.max), or see that those here end",
    Cause.DISK_FULL: "free space there (df -h, df -i), or let tmp_upload_dir and the logs be elsewhere",
    Cause.DESCRIPTORS_TAKEN: (
        "leave descriptors alone that the application did not open: look for os.closerange(), for os.close() of a "
        "number that was closed before, and for daemon code (double forks) that closes everything"
    ),
    Cause.FORKED: (
        "after os.fork() leave the child by os._exit() within the application, or use subprocess or multiprocessing"
    ),
    Cause.LEAK: (
        "bound what is kept (caches, lists, globals); set trace_memory = True to be told the line; "
        "max_worker_memory hides a leak meanwhile"
    ),
    Cause.RESOURCE_LIMIT: "raise the limit (ulimit -a, the unit's Limit...=), or use less",
    Cause.FORBIDDEN_CALL: "allow the call in the seccomp profile (SystemCallFilter=, --security-opt)",
    Cause.KILLED_BY_SOMEBODY: (
        "ask who ends processes here: an operator, a script, systemd-oomd, earlyoom, an agent of the platform"
    ),
}

_OF_SIGNAL: Final = {
    "SIGSEGV": Cause.CRASH,
    "SIGBUS": Cause.CRASH,
    "SIGFPE": Cause.CRASH,
    "SIGILL": Cause.CRASH,
    "SIGABRT": Cause.ABORT,
    "SIGXCPU": Cause.RESOURCE_LIMIT,
    "SIGXFSZ": Cause.RESOURCE_LIMIT,
    "SIGSYS": Cause.FORBIDDEN_CALL,
}


def cure_for(cause: Cause) -> str:
    """What to do about it."""
    return _CURES[cause]


def cure_for_boot(error: BaseException | None) -> str:
    """What to do about an application that raised this while it was imported."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return f"install {package} where the server runs (pip install), or correct the import; then reload"
    if isinstance(error, SyntaxError):
        return "correct the line, and reload; python -m py_compile FILE finds such errors before"
    return cure_for(Cause.BOOT_FAILED)


def of_signal(name: str) -> Cause:
    """Of a death by this signal that the master has not sent; SIGKILL of the kernel's is the caller's to know."""
    return _OF_SIGNAL.get(name, Cause.KILLED_BY_SOMEBODY)
