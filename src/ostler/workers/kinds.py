"""Which class is which worker kind.

A kind's module is imported when the kind is asked for: the asyncio of one costs every sync worker 4 MB otherwise.

Editing rules: a new kind is one line here, and one in config/sections/workers.py.
"""

import importlib
from typing import Final, cast

from ostler.workers.base import Worker

_CLASSES: Final = {
    "sync": "SyncWorker",
    "gthread": "ThreadWorker",
    "gevent": "GeventWorker",
    "eventlet": "EventletWorker",
    "tornado": "TornadoWorker",
    "asgi": "AsgiWorker",
}


def kind_of(name: str) -> type[Worker]:
    """The class of the kind that `worker_class` names."""
    module = importlib.import_module(f"ostler.workers.{name}")
    return cast(type[Worker], getattr(module, _CLASSES[name]))
