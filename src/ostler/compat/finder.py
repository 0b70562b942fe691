"""`import gunicorn` inside our processes: Gunicorn's names lead to Ostler's modules, whatever else is installed.

`install()` is for the commands alone, before any code of the user's runs. From then on no module of a real Gunicorn is
imported here: half of one and half of the other would give objects that do not fit each other.

    gunicorn.glogging -> ostler.compat.glogging, the very same module: classes compare equal under both names
    gunicorn.asgi, gunicorn.dirty, ... -> ModuleNotFoundError that says that they are not built

Rules for editing: an entry of `MODULES` is a promise that the names which are used outside are there and true.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Final

from ostler import __version__

_ROOT: Final = "gunicorn"
_PACKAGE: Final = "ostler.compat.package"
_WORKERS: Final = "ostler.compat.workers"
MODULES: Final = {
    _ROOT: _PACKAGE,
    "gunicorn.__main__": f"{_PACKAGE}.main",
    "gunicorn.app": f"{_PACKAGE}.app",
    "gunicorn.app.base": "ostler.compat.application",
    "gunicorn.app.pasterapp": "ostler.compat.paste",
    "gunicorn.app.wsgiapp": "ostler.compat.wsgiapp",
    "gunicorn.arbiter": "ostler.compat.arbiter",
    "gunicorn.config": f"{_PACKAGE}.config",
    "gunicorn.ctl": f"{_PACKAGE}.ctl",
    **{f"gunicorn.ctl.{name}": f"{_PACKAGE}.ctl.{name}" for name in ("cli", "client", "protocol")},
    "gunicorn.debug": f"{_PACKAGE}.debug",
    "gunicorn.errors": f"{_PACKAGE}.errors",
    "gunicorn.glogging": "ostler.compat.glogging",
    "gunicorn.http": f"{_PACKAGE}.http",
    **{
        f"gunicorn.http.{name}": f"{_PACKAGE}.http.{name}"
        for name in ("errors", "message", "parser", "unreader", "wsgi")
    },
    "gunicorn.instrument": f"{_PACKAGE}.instrument",
    "gunicorn.instrument.statsd": "ostler.compat.statsd",
    "gunicorn.pidfile": f"{_PACKAGE}.pidfile",
    "gunicorn.reloader": f"{_PACKAGE}.reloader",
    "gunicorn.sock": f"{_PACKAGE}.sock",
    "gunicorn.systemd": f"{_PACKAGE}.systemd",
    "gunicorn.util": f"{_PACKAGE}.util",
    "gunicorn.workers": _WORKERS,
    **{
        f"gunicorn.workers.{name}": f"{_WORKERS}.{name}"
        for name in ("base", "base_async", "gasgi", "geventlet", "ggevent", "gthread", "gtornado", "sync")
    },
}
_PACKAGES: Final = (_ROOT, "gunicorn.app", "gunicorn.ctl", "gunicorn.http", "gunicorn.instrument", "gunicorn.workers")


def ours(module: str) -> str | None:
    """Our module behind a name of Gunicorn's; None when there is none."""
    return MODULES.get(module)


def install() -> None:
    """Put it first on sys.meta_path, and the package into sys.modules: tools look for it there. Once is enough."""
    if any(isinstance(finder, GunicornFinder) for finder in sys.meta_path):
        return
    for name in [name for name in sys.modules if _is_gunicorns(name)]:
        del sys.modules[name]  # of an installed Gunicorn, which a start-up file of Python's may have imported
    sys.meta_path.insert(0, GunicornFinder())
    importlib.import_module(_ROOT)


class GunicornFinder(MetaPathFinder):
    """Answers for `gunicorn` and everything below it, and for nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_gunicorns(fullname):
            return None
        if fullname in MODULES:
            is_package = fullname in _PACKAGES
            loader = _Copy() if is_package else _Alias(fullname)
            return ModuleSpec(fullname, loader, origin=MODULES[fullname], is_package=is_package)
        # without name=: an error that carries it is swallowed in `from gunicorn import arbiter`, and this text with it
        raise ModuleNotFoundError(
            f"{fullname} is not built yet in this version of Ostler ({__version__}); an installed Gunicorn is not used "
            "inside Ostler, as its objects would not fit this server's"
        )


class _Alias(InspectLoader):
    """Puts our module under Gunicorn's name: the very same, so that hooks on imports see it too."""

    def __init__(self, name: str) -> None:
        self._name = MODULES[name]
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed; what it says of itself is to stay true."""
        module.__spec__ = self._spec

    def get_source(self, fullname: str) -> str | None:
        return self._ours().get_source(self._name)

    def get_code(self, fullname: str) -> CodeType | None:
        """For `python -m`."""
        return self._ours().get_code(self._name)

    def _ours(self) -> InspectLoader:
        spec = importlib.util.find_spec(self._name)
        assert spec is not None
        assert isinstance(spec.loader, InspectLoader)
        return spec.loader


class _Copy(Loader):
    """A package has to keep its name, for the modules below it are looked for by that."""

    def exec_module(self, module: ModuleType) -> None:
        source = importlib.import_module(MODULES[module.__name__])
        kept = ("__doc__", "__file__", "__version__")
        names = {name: value for name, value in vars(source).items() if name in kept or not name.startswith("_")}
        vars(module).update(names)


def _is_gunicorns(name: str) -> bool:
    return name == _ROOT or name.startswith(_ROOT + ".")
