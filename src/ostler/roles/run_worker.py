"""Where a worker's process begins: it is told apart here who is in charge of it."""

from typing import NoReturn

from ostler.roles.assembly import WorkerStart
from ostler.roles.booting import leave
from ostler.roles.own_worker import OwnWorkerRole
from ostler.roles.worker import WorkerRole


def run_worker(start: WorkerStart) -> NoReturn:
    """Be a worker. Called in the child right after the fork, with all signals blocked; never returns."""
    status = 1
    try:
        role = WorkerRole if start.settings.kind else OwnWorkerRole
        status = role(start, run_worker).run()
    except BaseException:  # noqa: BLE001  the border of the process: nothing of the master's stack may run on
        start.journal.logs.error.exception("worker failed; this is a defect of Ostler, please report it")
    finally:
        leave(start.journal, status)
