"""The worker kinds, the twin of the contract's application that each runs, and a server of one kind.

Rules: one server for many tests (`serving`); what differs between kinds stands here, and nowhere else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from tests.integration.harness import Server
from tests.integration.shared import running


@dataclass(frozen=True)
class Kind:
    """One value of `--worker-class`."""

    name: str
    module: str
    """In tests/apps: `application`, and `recording`, which answers every other path with what has arrived."""
    on_a_loop: bool = True
    """One thread runs everything, so an application that never gives up its turn stops the worker."""
    one_at_a_time: bool = False

    @property
    def hangs(self) -> bool:
        """An application can stop the worker in Python code; in a kind with threads the others are served meanwhile."""
        return self.on_a_loop or self.one_at_a_time

    hints: bool = True
    """Its interface has words for interim responses. (A twin without them has no such path.)"""
    stricter: dict[str, int] = field(default_factory=dict)
    """Cases of the corpus that the kind's own library refuses besides, with the status."""

    def __str__(self) -> str:
        return self.name


KINDS = (
    Kind("sync", "contract", on_a_loop=False, one_at_a_time=True),
    Kind("gthread", "contract", on_a_loop=False),
    Kind("gevent", "contract"),
    Kind("eventlet", "contract"),
    Kind(
        "tornado",
        "contract_tornado",
        hints=False,
        stricter={
            "host: every mark of a name": 400,  # it takes the comma for a second one
            "content_length: the largest number": 413,  # its own limit is 100 MB
            "content_length: 2^32 + 5": 413,
        },
    ),
    Kind("asgi", "contract_asgi"),
)


class KindServer(Server):
    """A server of one kind."""

    kind: Kind


Made = TypeVar("Made", bound=KindServer)


@contextmanager
def serving(
    make: type[Made],
    kind: Kind,
    *,
    workers: int = 1,
    options: Sequence[str] = (),
    config: str = "",
    name: str = "application",
    stops: bool = True,
) -> Iterator[Made]:
    """A server whose workers are ready. stops: it ends with status 0 and leaves nothing; False: the tests see to it."""
    with running(
        make,
        kind=kind.name,
        workers=workers,
        app=None,
        options=options,
        config=f"wsgi_app = '{kind.module}:{name}'\n{config}",
        stops=stops,
    ) as server:
        server.kind = kind
        yield server
