"""Where a worker's process begins: it is told apart here who is in charge of it."""

from typing import NoReturn

from ostler.config.affinity import of_slot
from ostler.errors import OstlerError
from ostler.logline import fields
from ostler.process.affinity import bind_to
from ostler.roles.assembly import WorkerStart
from ostler.roles.booting import leave
from ostler.roles.own_worker import OwnWorkerRole
from ostler.roles.troubles import tell_master
from ostler.roles.worker import WorkerRole


def run_worker(start: WorkerStart) -> NoReturn:
    """Be a worker. Called in the child right after the fork, with all signals blocked; never returns."""
    status = 1
    try:
        tell_master(start.channel, start.journal.logs.error)
        _bind(start)
        role = WorkerRole if start.settings.kind else OwnWorkerRole
        status = role(start, run_worker).run()
    except OstlerError as error:
        start.journal.logs.error.error("%s", error)
    except BaseException:  # noqa: BLE001  the border of the process: nothing of the master's stack may run on
        start.journal.logs.error.exception("worker failed; this is a defect of Ostler, please report it")
    finally:
        leave(start.journal, status)


def _bind(start: WorkerStart) -> None:
    """To the CPUs of its slot, before anything of the application begins a thread."""
    cpus = of_slot(start.settings.cpu_affinity, start.slot)
    problem = bind_to(cpus)
    if problem:
        text = "a worker cannot be bound to its CPUs, and runs on any"
        cure = "the CPUs that the server may use have changed; reload, or correct cpu_affinity"
        said = fields(text, slot=start.slot, cpus=",".join(map(str, sorted(cpus))), error=problem, cure=cure)
        start.journal.logs.error.warning("%s", said)
