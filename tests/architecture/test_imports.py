"""The plan of the house, kept true by its imports: layers, cycles, purity of the cores, imports where they are seen.

The tables are those of ARCHITECTURE.md; to change the architecture is to change both in one commit.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "ostler"
LAYERS = [
    {"errors", "lifecycle", "logline", "real"},
    {"config", "http", "supervisor"},
    {"app", "observe", "process"},
    {"drivers"},
    {"workers"},
    {"roles", "control"},
    {"cli", "compat", "deploy", "__main__"},
]
LAYER = {part: number for number, parts in enumerate(LAYERS) for part in parts} | {"": 0}
# The command line puts everything together, and nothing imports it but `python -m ostler`. The operator's socket is in
# the master's loop.
SIDEWAYS = {("__main__", "cli"), ("cli", "compat"), ("cli", "deploy"), ("roles", "control")}
PURE = {"http", "supervisor"}
IMPURE_MODULES = {"socket", "ssl", "select", "selectors", "os", "time", "asyncio", "threading", "signal", "logging"}


def part_of(module: str) -> str:
    """`ostler.http.parse` -> `http`; the package itself -> the empty name."""
    return [*module.split("."), ""][1]


class Module:
    """One source file and what it imports."""

    def __init__(self, name: str, source: str, known: set[str]) -> None:
        self.name = name
        self.part = part_of(name)
        self.tree = ast.parse(source)
        self.imports = [(node, target) for node in ast.walk(self.tree) for target in targets(node, known)]

    def ours(self) -> set[str]:
        return {target for _, target in self.imports if target.split(".")[0] == "ostler"}


def targets(node: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules that an import statement names; `from ostler.http import parse` names ostler.http.parse."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            inner = {f"{module}.{alias.name}" for alias in names} & known
            yield from inner or {module}
        case ast.ImportFrom(level=level):
            yield "." * level  # relative: never allowed, whatever it names


def load(sources: dict[str, str]) -> list[Module]:
    return [Module(name, source, set(sources)) for name, source in sources.items()]


def violations(modules: list[Module]) -> list[str]:
    """Everything that breaks a rule, one line each."""
    found = []
    for module in modules:
        if module.part not in LAYER:
            found.append(f"{module.name}: is in no layer")
            continue
        for target in sorted(module.ours()):
            part = part_of(target)
            if part == module.part or (module.part, part) in SIDEWAYS:
                continue
            if LAYER.get(part, len(LAYERS)) >= LAYER[module.part]:
                found.append(f"{module.name}: imports {target}, which is not below it")
        for node, target in module.imports:
            top = target.split(".")[0]
            if module.part in PURE and (top in IMPURE_MODULES or target == "ostler.real"):
                found.append(f"{module.name}: imports {target}, but {module.part}/ is pure")
            if target.startswith("."):
                found.append(f"{module.name}: has a relative import")
            optional = top not in sys.stdlib_module_names and top != "ostler"
            if node not in module.tree.body and not optional:
                found.append(f"{module.name}: imports {target} below the top of the file")
            if node in module.tree.body and optional:
                found.append(f"{module.name}: cannot be imported without {top}, which is not required")
    return found + [f"import cycle: {' -> '.join(cycle)}" for cycle in cycles(modules)]


def cycles(modules: list[Module]) -> list[list[str]]:
    """Import cycles between modules, each found once."""
    graph = {module.name: sorted(module.ours()) for module in modules}
    found: list[list[str]] = []
    finished: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
        elif name not in finished:
            for target in graph.get(name, []):
                visit(target, [*path, name])
            finished.add(name)

    for name in graph:
        visit(name, [])
    return found


def our_sources() -> dict[str, str]:
    files = sorted(SOURCE.rglob("*.py"))
    names = [".".join(["ostler", *file.relative_to(SOURCE).with_suffix("").parts]) for file in files]
    return {name.removesuffix(".__init__"): file.read_text() for name, file in zip(names, files, strict=True)}


def test_sources_keep_every_rule() -> None:
    sources = our_sources()
    assert "ostler.errors" in sources, f"no sources found under {SOURCE}"
    assert violations(load(sources)) == []


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("ostler.http.parse", "from ostler.drivers import reactor", "which is not below it"),
        ("ostler.http.parse", "from ostler.config import settings", "which is not below it"),
        ("ostler.supervisor.policy", "import time", "is pure"),
        ("ostler.http.parse", "from ostler.real import sleep", "is pure"),
        ("ostler.app.wsgi", "def f():\n    from os import path", "below the top of the file"),
        ("ostler.roles.worker", "from . import master", "relative import"),
        ("ostler.drivers.reactor", "import gevent", "which is not required"),
        ("ostler.extra.thing", "", "is in no layer"),
        ("ostler.cli", "import ostler.cli", "import cycle"),
    ],
)
def test_a_broken_rule_is_found(name: str, source: str, complaint: str) -> None:
    (first, *_) = violations(load({name: source}))
    assert complaint in first
