"""Runs single tests of tests/unit/http without pytest, over whatever `ostler.http` is loaded.

For what the corpora cannot see: what a connection waits for, which pieces of output are joined, how a memo is bounded.
Knows `parametrize` and the two fixtures of tests/unit/http/conftest.py; tests by Hypothesis or against the clock are
left to pytest.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from tests.unit.http.corpus import Case

FOLDER: Final = Path(__file__).parents[1] / "unit" / "http"
MODULES: Final = (
    *("test_body", "test_encode", "test_framing", "test_grammar", "test_h1", "test_h1_exchange"),
    *("test_lenient", "test_limits", "test_parse", "test_received"),
)
_FIXTURES: Final = {"connection", "exchange_of"}

_codes: Final[dict[str, CodeType]] = {}


def compiled(name: str) -> CodeType:
    """The code of a test module, or of another one of the folder."""
    if name not in _codes:
        path = FOLDER / f"{name}.py"
        _codes[name] = compile(path.read_text("utf-8"), str(path), "exec")
    return _codes[name]


def fresh(name: str) -> ModuleType:
    """The module, made anew over the loaded `ostler.http`."""
    full = f"tests.mutation.units.{name}"  # pytest has its own copy, under the real name
    module = ModuleType(full)
    module.__file__ = str(FOLDER / f"{name}.py")
    sys.modules[full] = module
    exec(compiled(name), module.__dict__)
    return module


def tests() -> list[Case]:
    """One for each call that pytest would make."""
    found: list[Case] = []
    for name in MODULES:
        for test, function in _functions(fresh(name)).items():
            if "linear_time" in test or hasattr(function, "hypothesis"):
                continue
            turns = len(list(_arguments(function)))
            found += [
                {"id": f"{name} {test} {turn}", "module": name, "test": test, "turn": turn} for turn in range(turns)
            ]
    return found


def _functions(module: ModuleType) -> dict[str, Callable[..., None]]:
    """Name -> test, those of classes bound to an object, with the marks of their class."""
    found = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    for group, holder in vars(module).items():
        if group.startswith("Test"):
            for name, value in vars(holder).items():
                if name.startswith("test_"):
                    bound = partial(value, holder())
                    bound.pytestmark = [*getattr(holder, "pytestmark", ()), *getattr(value, "pytestmark", ())]  # type: ignore[attr-defined]
                    found[f"{group}.{name}"] = bound
    return found


def _arguments(function: Any) -> Iterator[dict[str, Any]]:
    """The arguments of each of its calls, without fixtures; nothing when it asks for a fixture that is not known."""
    combined: list[dict[str, Any]] = [{}]
    for mark in getattr(function, "pytestmark", ()):
        names, values = mark.args
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        rows = [getattr(value, "values", None) or (value if len(names) > 1 else (value,)) for value in values]
        combined = [one | dict(zip(names, row, strict=True)) for one in combined for row in rows]
    for arguments in combined:
        if set(inspect.signature(function).parameters) - arguments.keys() <= _FIXTURES:
            yield arguments


def run(case: Case) -> None:
    """Call the test; it raises what it raises."""
    module = fresh(case["module"])
    function = _functions(module)[case["test"]]
    arguments = list(_arguments(function))[case["turn"]]
    wanted = set(inspect.signature(function).parameters) - arguments.keys()
    if wanted:
        http = {name: sys.modules[f"ostler.http.{name}"] for name in ("connection", "encode", "h1", "limits")}
        date = http["encode"].DateField(784111777)
        peer = http["connection"].Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))
        connection = http["h1"].H1Connection(http["limits"].Limits(), peer, date)

        def exchange_of(data: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") -> Any:
            connection.receive(data)
            exchange = connection.next_exchange()
            assert exchange is not None
            return exchange

        arguments |= {name: {"connection": connection, "exchange_of": exchange_of}[name] for name in wanted}
    function(**arguments)
