"""For tests that run a command in this process: `gunicorn` means the real one again afterwards, for other tests."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gunicorn_put_back() -> Iterator[None]:
    finders = sys.meta_path.copy()
    modules = {name: module for name, module in sys.modules.items() if _is_gunicorns(name)}
    try:
        yield
    finally:
        sys.meta_path[:] = finders
        for name in [name for name in sys.modules if _is_gunicorns(name)]:
            del sys.modules[name]
        sys.modules.update(modules)


def _is_gunicorns(name: str) -> bool:
    return name.partition(".")[0] == "gunicorn"
