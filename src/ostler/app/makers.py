"""Who made a thing while the application was imported: a line of its code, and the library that it called for that.

Found on the stack, while the thing is made; or afterwards, as the variable of a module that leads to the thing.

Rules for editing: the objects are users'. They are compared by identity and walked by gc.get_referents, which runs none
of their code; no attribute of theirs is asked for.
"""

import gc
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Final

_LIMIT_DEPTH: Final = 6
_LIMIT_OBJECTS: Final = 300_000
# By id: a class may define what == means for it.
_LEAVES: Final = frozenset(
    map(id, (str, bytes, int, float, bool, type(None), ModuleType, FunctionType, BuiltinFunctionType, CodeType))
)

_STANDARD: Final = tuple(
    {os.path.join(os.path.realpath(sysconfig.get_path(name)), "") for name in ("stdlib", "platstdlib")}
    | {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")}
)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@dataclass(frozen=True, slots=True)
class Maker:
    """module: its dotted name; "" is not known. place: "FILE:LINE", or FILE, or "". through: the module of the library
    that did it for `module`; "" when it did so itself. packages: top-level names of all libraries in between. variable:
    where it hangs, "shop.db.engine"; "" when that is not known.
    """

    module: str = ""
    place: str = ""
    through: str = ""
    packages: frozenset[str] = frozenset()
    variable: str = ""


UNKNOWN: Final = Maker()


def on_stack(frame: FrameType | None, application: str) -> Maker:
    """The application's innermost line above `frame`, or a library's when there is none. application: its top-level
    package, which is the application's also where it is installed beside libraries.
    """
    nearest = UNKNOWN
    packages: set[str] = set()
    while frame is not None:
        found = dict.get(frame.f_globals, "__name__")
        name = found if type(found) is str else ""
        file = frame.f_code.co_filename
        top = name.partition(".")[0]
        if not _is_foreign(top, file):
            maker = Maker(name, f"{file}:{frame.f_lineno}")
            if top == application or not _is_installed(file):
                return Maker(name, maker.place, nearest.module, frozenset(packages))
            packages.add(top)
            nearest = maker if nearest is UNKNOWN else nearest
        frame = frame.f_back
    return Maker(nearest.module, nearest.place, "", frozenset(packages))


def holders(objects: Iterable[object], application: str) -> dict[int, Maker]:
    """By id: the module variable from which each can be reached in the fewest steps. Those that are not are missing."""
    wanted = {id(each) for each in objects}
    found: dict[int, Maker] = {}
    seen: set[int] = set()
    level = [(value, module, name) for module, name, value in _variables(application)]
    for _ in range(_LIMIT_DEPTH):
        deeper = []
        for value, module, name in level:
            if id(value) in seen or id(type(value)) in _LEAVES:
                continue
            seen.add(id(value))
            if id(value) in wanted and id(value) not in found:
                found[id(value)] = _holder(module, name)
            if len(seen) < _LIMIT_OBJECTS:
                deeper += [(each, module, name) for each in gc.get_referents(value)]
        if len(found) == len(wanted):
            break
        level = deeper
    return found


def _variables(application: str) -> Iterator[tuple[ModuleType, str, object]]:
    """Those of all modules that are neither ours nor Python's own; the application's first."""
    own: list[tuple[ModuleType, dict[str, object]]] = []
    others: list[tuple[ModuleType, dict[str, object]]] = []
    for name, module in list(sys.modules.items()):
        if not issubclass(type(module), ModuleType):
            continue  # anything can stand there
        namespace = object.__getattribute__(module, "__dict__")
        file = namespace.get("__file__")
        top = name.partition(".")[0]
        if type(file) is not str or _is_foreign(top, file):
            continue
        is_application = top == application or not _is_installed(file)
        (own if is_application else others).append((module, namespace))
    for module, namespace in own + others:
        for name, value in list(namespace.items()):
            if type(name) is str:
                yield module, name, value


def _holder(module: ModuleType, variable: str) -> Maker:
    namespace = object.__getattribute__(module, "__dict__")
    name, file = str(namespace.get("__name__")), str(namespace.get("__file__"))
    line = _line_of(file, variable)
    return Maker(name, f"{file}:{line}" if line else file, variable=f"{name}.{variable}")


def _line_of(file: str, variable: str) -> int:
    """Where the variable is assigned first; 0 when that does not show."""
    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = source.read()
    except OSError:
        return 0
    match = re.search(rf"^{re.escape(variable)}\b[^=\n]*=(?!=)", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else 0


def _is_foreign(top: str, file: str) -> bool:
    """Whether it is Python's own or ours, of which nobody wants to hear."""
    if top in ("ostler", "gunicorn") or file.startswith("<frozen "):
        return True
    return file.startswith(_STANDARD) and not _is_installed(file)


def _is_installed(file: str) -> bool:
    return any(each in file for each in _INSTALLED)
