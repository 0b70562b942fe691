"""What a worker is started with, and the parts it is put together from: the one place where settings meet drivers.

Rules for editing: every part is handed what it needs of the settings, and none is handed the settings; nothing here
runs, forks or waits.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler import __version__
from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi import Application, FileWrapper, WsgiAdapter
from ostler.config.settings import Settings
from ostler.drivers.admission import Rules
from ostler.drivers.crew import Crew
from ostler.drivers.doors import Doors
from ostler.drivers.reactor import Reactor
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.transfer import TransferSockets
from ostler.http.limits import Leniency, Limits
from ostler.observe.hooks import HookArguments
from ostler.observe.scoreboard import Scoreboard
from ostler.observe.span import SpanMaker
from ostler.process.certificates import Certificates
from ostler.process.channel import Channel
from ostler.process.listeners import Listener
from ostler.roles.journal import Journal
from ostler.workers.base import ExchangeRunner, Worker
from ostler.workers.gthread import ThreadWorker
from ostler.workers.sync import SyncWorker

KINDS: Final[dict[str, type[Worker]]] = {"sync": SyncWorker, "gthread": ThreadWorker}

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
    hook_arguments: HookArguments
    parent_pid: int
    """The process whose child it is: the master, unless a mold has forked it and the system has no `adopt_orphans`."""
    application: Application | None = None
    """Loaded already, by a mold. Signals are as the application left them then."""


def assemble(
    start: WorkerStart, application: Application, spans: SpanMaker, on_tick: Callable[[], object]
) -> Worker:
    """A worker of the kind that the settings name; it begins with `serve`. `on_tick` is called about once a second."""
    settings = start.settings
    log = start.journal.logs.error
    kind = KINDS[settings.worker_class]
    permits = kind.permits(settings.threads)
    crew = Crew(permits)
    doors = Doors(
        listeners=start.listeners,
        transfer=start.transfer,
        scoreboard=start.scoreboard,
        page_index=start.page,
        has_permit=lambda: crew.has_permit,
        client_limit=settings.worker_connections,
        log=log,
    )
    constants = {
        "SERVER_SOFTWARE": SOFTWARE,
        "wsgi.errors": start.journal.logs.error_stream,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.multiprocess": settings.workers > 1,
        "wsgi.multithread": permits > 1,
    }
    template = EnvironTemplate(settings, constants, os.environ)
    reactor = Reactor(
        crew=crew,
        doors=doors,
        page=start.scoreboard.page(start.page),
        template=template,
        limits=_limits(settings),
        timeouts=Timeouts.of(settings),
        rules=Rules.of(settings, None if start.certificates is None else start.certificates.context),
        protocol=settings.protocol,
        request_buffering=settings.request_buffering,
        spill_directory=settings.tmp_upload_dir,
        leader_beats=kind.leader_beats,
        run_exchange=ExchangeRunner(WsgiAdapter(application, template, log, settings.sendfile), spans),
        on_tick=on_tick,
        log=log,
    )
    return kind(reactor, settings.threads)


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
