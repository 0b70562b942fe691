"""What a worker is started with, and the parts it is put together from: the one place where settings meet drivers.

Rules for editing: every part is handed what it needs of the settings, and none is handed the settings; nothing here
runs, forks or waits.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

from ostler import __version__
from ostler.app.deadline import UNLIMITED
from ostler.app.deadline import Limits as CallLimits
from ostler.app.environ import EnvironTemplate
from ostler.app.loader import interface_of
from ostler.app.source import Source
from ostler.app.wsgi import Application, FileWrapper
from ostler.config.origins import DEFAULT_ORIGIN
from ostler.config.settings import Settings
from ostler.drivers.admission import Rules
from ostler.drivers.doors import Doors
from ostler.drivers.overdue import Overdue
from ostler.drivers.shedding import Shedding
from ostler.drivers.side_door import SideDoor, after_s
from ostler.drivers.spare import REFUSAL
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.transfer import TransferSockets
from ostler.errors import AppLoadError
from ostler.http.limits import Leniency, Limits
from ostler.logline import fields
from ostler.observe.scoreboard import Scoreboard
from ostler.observe.span import SpanMaker
from ostler.process.certificates import Certificates
from ostler.process.channel import Channel, RetireRequest
from ostler.process.listeners import Listener
from ostler.roles.inquest import roots_of
from ostler.roles.journal import Journal
from ostler.workers.base import HOSTED_ROWS, Parts, Worker
from ostler.workers.foreign import Around, WorkerArguments
from ostler.workers.kinds import kind_of

SOFTWARE: Final = f"ostler/{__version__}"


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """All that a worker is started with, or a mold: one that has no listeners and no page."""

    age: int
    settings: Settings
    listeners: tuple[Listener, ...]
    scoreboard: Scoreboard
    page: int
    """Index of this process's page."""
    channel: Channel
    transfer: TransferSockets
    journal: Journal
    certificates: Certificates | None
    """None: no TLS."""
    hook_arguments: WorkerArguments
    parent_pid: int
    """The process whose child it is: the master, unless a mold has forked it and the system has no `adopt_orphans`."""
    source: Source
    application: Application | None = None
    """Loaded already, by a mold. Signals are as the application left them then."""
    slot: int = 0
    """Of a mold: nothing."""


def choose_kind(settings: Settings, application: object, log: logging.Logger) -> type[Worker]:
    """The kind that runs this application: that of the settings, unless none was chosen, or WSGI is run in threads.

    Raises:
        AppLoadError: the kind that was chosen cannot run it.
    """
    kind = kind_of(settings.kind)
    interface = interface_of(application)
    if interface in kind.interfaces:
        return kind
    if settings.origin("worker_class") == DEFAULT_ORIGIN:
        log.info(fields("application recognised, served by the kind that runs it", kind=interface, interface=interface))
        return kind_of(interface)
    if interface == "wsgi":
        name = "gthread" if settings.threads > 1 else "sync"
        text = "a WSGI application is served in threads, not on the event loop; threads says in how many"
        log.info(fields(text, worker_class=settings.worker_class, kind=name, threads=settings.threads))
        return kind_of(name)
    raise AppLoadError(
        f"application: expected one for {', '.join(sorted(kind.interfaces))}, which {settings.worker_class} workers "
        f"run, got one for {interface}; use --worker-class {interface}"
    )


def assemble(  # noqa: PLR0913, PLR0917  one place calls it
    start: WorkerStart,
    kind: type[Worker],
    application: object,
    spans: SpanMaker,
    on_tick: Callable[[], object],
    around: Around | None = None,
) -> Worker:
    """A worker of this kind; it begins with `begin`. `on_tick` is called about once a second.

    around: what a user's class puts around each application call.
    """
    settings = start.settings
    log = start.journal.logs.error
    constants = {
        "SERVER_SOFTWARE": SOFTWARE,
        "ostler.deadline": UNLIMITED,
        "wsgi.errors": start.journal.logs.error_stream,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.multiprocess": max(settings.workers, settings.workers_max) > 1,
        "wsgi.multithread": kind.multithread,
    }
    template = EnvironTemplate(settings, constants, os.environ)

    def make_doors(has_permit: Callable[[], bool]) -> Doors:
        return Doors(
            listeners=start.listeners,
            transfer=start.transfer,
            scoreboard=start.scoreboard,
            page_index=start.page,
            has_permit=has_permit,
            client_limit=settings.worker_connections,
            log=log,
            refusal=b"" if settings.is_tls else REFUSAL,
            side_door=SideDoor(after_s(settings.queue_timeout)) if settings.queue_timeout else None,
        )

    loop = {
        "page": start.scoreboard.page(start.page),
        "template": template,
        "limits": _limits(settings),
        "timeouts": Timeouts.of(settings),
        "rules": Rules.of(settings, None if start.certificates is None else start.certificates.context),
        "protocol": settings.protocol,
        "request_buffering": settings.request_buffering,
        "spill_directory": settings.tmp_upload_dir,
        "on_tick": on_tick,
        "overdue": _overdue(start),
        "pressure": start.scoreboard.pressures.of(start.page),
        "shedding": _shedding(start, template, spans),
        "log": log,
    }
    rows_there = start.scoreboard.rows
    return kind.assemble(
        Parts(
            application,
            settings,
            spans,
            template,
            log,
            make_doors,
            rows_there,
            loop,
            around,
            start.application is not None,
        )
    )


def _shedding(start: WorkerStart, template: EnvironTemplate, spans: SpanMaker) -> Shedding | None:
    settings, statsd = start.settings, start.journal.statsd
    if not settings.queue_timeout:
        return None
    return Shedding(
        timeout_s=settings.queue_timeout,
        spared=(*settings.health_paths, *settings.readiness_path),
        template=template,
        observers=spans.observers,
        pressure=start.scoreboard.pressures.of(start.page),
        count=(lambda: None) if statsd is None else partial(statsd.increment, "gunicorn.request.shed", 1),
        log=start.journal.logs.error,
    )


def _overdue(start: WorkerStart) -> Overdue | None:
    """Who watches over application calls; None without `request_timeout`."""
    settings = start.settings
    limits = CallLimits(settings.request_timeout, settings.request_timeout_hard, settings.request_timeout_paths)
    if limits.shortest_s == inf:
        return None
    log = start.journal.logs.error
    overdue = Overdue(limits, start.scoreboard.page(start.page), log, roots_of(settings), settings.mask_query)
    overdue.ask = lambda detail: start.channel.send(RetireRequest("request_timeout", detail))
    return overdue


def rows(settings: Settings) -> int:
    """Rows of a scoreboard page: of the kind that the settings name, and of the one that may be recognised instead."""
    has_threads = settings.worker_class in ("sync", "gthread") and settings.origin("worker_class") != DEFAULT_ORIGIN
    return settings.threads if has_threads else max(settings.threads, HOSTED_ROWS)


def _limits(settings: Settings) -> Limits:
    return Limits(
        request_line=settings.limit_request_line,
        fields=settings.limit_request_fields,
        field_size=settings.limit_request_field_size,
        body=settings.limit_request_body,
        leniency=Leniency(
            settings.permit_obsolete_folding,
            settings.strip_header_spaces,
            settings.permit_unconventional_http_method,
            settings.permit_unconventional_http_version,
            settings.casefold_http_method,
        ),
    )
