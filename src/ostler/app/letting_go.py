"""Closing the idle connections of known libraries in a worker that has served, before it becomes a mold.

The workers that it forks would all talk over them. Their pools connect anew when they are asked again.

Rules for editing: only what the library itself documents for this, and only where a later use connects by itself. A
library is known by its classes, as in holdings.py.
"""

import gc
from collections.abc import Callable, Iterator
from typing import Any, Final

from ostler.app.holdings import library

_POOLS: Final[tuple[tuple[str, str, Callable[[Any], object]], ...]] = (
    ("sqlalchemy.engine.base", "Engine", lambda engine: engine.dispose()),
    ("redis.connection", "ConnectionPool", lambda pool: pool.disconnect()),
    ("urllib3.poolmanager", "PoolManager", lambda manager: manager.clear()),
)


def let_go() -> None:
    """While nothing else uses them. What fails stays open, and `holdings` sees it. Frozen objects (gc.freeze) are not
    found.
    """
    for close in list(_closers()):
        try:
            close()
        except Exception:  # noqa: BLE001  a library's or a user's own; whoever asks what is held is told
            continue


def _closers() -> Iterator[Callable[[], object]]:
    django = library("django.db")
    if "connections" in django:
        yield django["connections"].close_all
    known = []
    for module, name, close in _POOLS:
        base = library(module).get(name)
        if isinstance(base, type):
            known.append((base, close))
    if not known:
        return
    by_type: dict[int, Callable[[Any], object] | None] = {}  # asked once for each class: there are many objects
    for each in gc.get_objects():
        kind = type(each)
        if id(kind) not in by_type:
            by_type[id(kind)] = next((close for base, close in known if issubclass(kind, base)), None)
        found = by_type[id(kind)]
        if found is not None:
            yield _bound(found, each)


def _bound(close: Callable[[Any], object], thing: object) -> Callable[[], object]:
    return lambda: close(thing)
