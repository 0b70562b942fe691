"""Names that are no settings but nearly one: `worker`, `log_level`, `OSTLER_WORKER`.

Two judgements. `meant_setting` is strict, for places where foreign names are at home (a Python file, the environment):
a false alarm there would teach operators to skip notices. `closest` is generous, for places where the name is an error
in any case (a key of a TOML file, `ostler settings NAME`).

The strict rule, on names without `_` and `-` and in lower case: equal to a setting or to a flag of one (`keep_alive`,
`access_logfile`), or one edit away from a setting of six letters and more, or a shorter one with an `s` too many
(`binds`). The flags --env, --pid and --name are no hints: files use such names for things of their own.
"""

import ast
import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from ostler.config.sections import ENTRIES

_TOO_COMMON = frozenset({"env", "pid", "name"})
_LEAST_LETTERS = 6
_SETTINGS = frozenset(entry.name for entry in ENTRIES)
_OWN_THINGS = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A name of a Python file, where it is assigned first, and the setting that was probably meant."""

    name: str
    meant: str
    line: int


def meant_setting(name: str) -> str | None:
    """The setting that `name`, which is none, was probably meant to be; None when that is not nearly certain."""
    plain = _plain(name)
    settings, spellings = _names()
    if plain in spellings:
        return spellings[plain]
    near = [meant for known, meant in settings.items() if _is_near(plain, known)]
    return near[0] if len(near) == 1 else None


def closest(name: str, choices: Iterable[str]) -> str | None:
    """The one of `choices` that looks most like `name`; None when none does."""
    choices = list(choices)
    meant = meant_setting(name)
    if meant in choices:
        return meant
    by_plain = {_plain(choice): choice for choice in choices}
    found = difflib.get_close_matches(_plain(name), by_plain, n=1, cutoff=0.75)
    return by_plain[found[0]] if found else None


def near_misses(source: bytes, names: Mapping[str, object]) -> list[NearMiss]:
    """Names of a Python file that look like settings, in the order of their lines.

    source: the file's text, which has run; `names`: what it left. Only names that the file assigns itself and never
    reads are judged: one that it imports, or computes with, is its own business.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    first: dict[str, int] = {}
    for name, line in _assigned(tree.body):
        first.setdefault(name, line)
    found = []
    for name, line in first.items():
        if name in read or name not in names or _is_own(name, names[name]):
            continue
        meant = meant_setting(name)
        if meant is not None:
            found.append(NearMiss(name, meant, line))
    return sorted(found, key=lambda miss: miss.line)


def _assigned(body: Iterable[ast.stmt]) -> Iterator[tuple[str, int]]:
    """Names given a value by `name = ...` in the file's own scope, also inside `if`, `try`, `with` and loops."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                continue
            case ast.Assign(targets=targets):
                yield from ((node.id, node.lineno) for target in targets for node in _plain_targets(target))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                yield name, statement.lineno
            case _:
                inner = (node for node in ast.iter_child_nodes(statement))
                yield from _assigned(_statements(inner))


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    for node in nodes:
        if isinstance(node, ast.stmt):
            yield node
        elif isinstance(node, ast.ExceptHandler | ast.match_case):
            yield from node.body


def _plain_targets(target: ast.expr) -> Iterator[ast.Name]:
    if isinstance(target, ast.Name):
        yield target
    elif isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _plain_targets(part)


def _is_own(name: str, value: object) -> bool:
    return name in _SETTINGS or name.startswith("_") or name.isupper() or issubclass(type(value), _OWN_THINGS)


@cache
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Plain names of settings, and every plain spelling (flags too), each with the setting."""
    settings = {_plain(entry.name): entry.name for entry in ENTRIES if entry.in_files}
    flags = {
        _plain(flag): entry.name
        for entry in ENTRIES
        if entry.in_files
        for flag in entry.flags
        if flag.startswith("--") and _plain(flag) not in _TOO_COMMON
    }
    return settings, flags | settings


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _is_near(name: str, setting: str) -> bool:
    if len(setting) < _LEAST_LETTERS:
        return name == setting + "s"
    return _is_one_edit(name, setting)


def _is_one_edit(one: str, other: str) -> bool:
    """One letter more, less or changed, or two neighbours swapped."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(long) > len(short):
        return short[start:] == long[start + 1 :]
    swapped = long[start + 1 : start + 2] + long[start : start + 1]
    return short[start + 1 :] == long[start + 1 :] or (
        short[start : start + 2] == swapped and short[start + 2 :] == long[start + 2 :]
    )
