"""Under which conditions a scenario is played. Data only.

The ways in which clients ask are no condition: in every scenario clients of all of them ask at the same time, because
they disturb each other most that way, and are counted apart.
"""

from dataclasses import dataclass
from enum import Enum
from itertools import product

KINDS = ("sync", "gthread", "gevent", "asgi")


class Style(Enum):
    """How a client asks."""

    KEEP_ALIVE = "keep-alive"  # one request after the other on one connection
    PIPELINING = "pipelining"  # several requests on the wire at once; the answers come whole and in their order
    NEW = "new"  # each request on a connection of its own


@dataclass(frozen=True)
class Condition:
    kind: str  # one of KINDS; of peers: workers with one thread, with four, with greenlets, with an event loop
    transport: str  # "tcp" or "unix": what the server listens on
    path: str  # "direct", or "nginx": clients ask an Nginx that keeps its connections to the server
    preload: bool

    @property
    def application(self) -> str:
        """As a server is told it: tests/apps has a twin for each interface."""
        return "shop_asgi:application" if self.kind == "asgi" else "shop:application"

    def __str__(self) -> str:
        return f"{self.kind} {self.transport} {self.path} {'preload' if self.preload else 'no-preload'}"


ALL = [
    Condition(kind, transport, path, preload)
    for preload, path, transport, kind in product(
        (False, True), ("direct", "nginx"), ("tcp", "unix"), KINDS
    )
]
