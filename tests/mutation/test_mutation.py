"""Each rule of `ostler.http`, broken on purpose, fails a case: of the corpora, or of the unit tests behind them.

Two kinds of mutants: those that rules.toml names, one or more for each rule of the grammar, with a text that is found
once, so that table and code stay in step; and all that mutants.py makes of the syntax trees. What survives stands in
survivors.toml with its reason; what stands there and does not exist any more fails, too.

`make test` tries the named ones, and of the others those without a refusal (each `raise` is taken out once).
OSTLER_MUTATION=full (`make fuzz`) tries all, and shows that every listed survivor really survives.
"""

import ast
import os
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tests.mutation.mutants import Mutant, Mutator
from tests.mutation.proof import Coverage, Package, killer, trials

HERE: Final = Path(__file__).parent
RULES: Final = tomllib.loads((HERE / "rules.toml").read_text("utf-8"))["rule"]
LISTED: Final = tomllib.loads((HERE / "survivors.toml").read_text("utf-8"))
SURVIVORS: Final = {name for group in LISTED["survivor"] for name in group["mutants"]}
OUTSIDE: Final = {(group["module"], scope) for group in LISTED["outside"] for scope in group["scopes"]}
MODULES: Final = ("body", "encode", "framing", "grammar", "h1", "h1_exchange", "lenient", "limits", "parse", "received")
FULL: Final = os.environ.get("OSTLER_MUTATION") == "full"

pytestmark = pytest.mark.timeout(600)  # all of them take 60 s of processor time, which a busy machine stretches


@pytest.fixture(scope="module")
def package() -> Package:
    return Package()


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    return Coverage(trials())


def functions(source: str) -> dict[int, range]:
    """Each line within a function -> the function's lines."""
    lines: dict[int, range] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            span = range(node.lineno, node.end_lineno + 1)
            lines |= dict.fromkeys(span, span)
    return lines


def noticed_by(
    package: Package, coverage: Coverage, module: str, mutant: Mutant, spans: dict[int, range]
) -> str | None:
    span = spans.get(mutant.line)
    chosen = coverage.everywhere() if span is None else coverage.past(module, span, mutant.line)
    return killer(package, module, mutant.code, chosen)


@pytest.mark.parametrize("module", MODULES)
def test_every_mutant_is_noticed_or_listed(module: str, package: Package, coverage: Coverage) -> None:
    source = package.source[module]
    spans = functions(source)
    mutator = Mutator(module, source)
    wrong: list[str] = []
    seen: set[str] = set()
    counted = {"noticed": 0, "listed": 0, "outside": 0, "left to make fuzz": 0}
    raises = 0
    for mutant in mutator.mutants():
        raises += mutant.raises
        seen.add(mutant.name)
        if (module, mutant.scope) in OUTSIDE:
            counted["outside"] += 1
            continue
        listed = mutant.name in SURVIVORS
        if listed and not FULL:
            counted["listed"] += 1
        elif not FULL and not mutant.raises:
            counted["left to make fuzz"] += 1
        elif (noticed_by(package, coverage, module, mutant, spans) is None) == listed:
            counted["listed" if listed else "noticed"] += 1
        else:
            wrong.append(f"{'listed, but noticed' if listed else 'survived'}, line {mutant.line}: {mutant.name}")
    print(f"{module}: {counted}", *wrong, sep="\n")
    assert not wrong, f"{len(wrong)} mutants; see the output"
    assert raises == mutator.raises()
    assert {name for name in SURVIVORS if name.startswith(f"{module} ")} <= seen, "survivors.toml lists what is gone"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule"])
def test_a_rule_that_is_broken_fails_a_case(rule: dict[str, Any], package: Package, coverage: Coverage) -> None:
    source = package.source[rule["module"]]
    assert source.count(rule["text"]) == 1, f"{rule['text']!r} is not found once in {rule['module']}.py"
    broken = source.replace(rule["text"], rule["becomes"])
    code = compile(broken, f"<broken {rule['module']}>", "exec")
    noticed = killer(package, rule["module"], code, coverage.everywhere())
    assert noticed is not None
    assert not noticed.startswith("does not load"), noticed


def test_what_is_outside_exists(package: Package) -> None:
    for module in {module for module, _ in OUTSIDE}:
        scopes = {mutant.scope for mutant in Mutator(module, package.source[module]).mutants()}
        named = {scope for where, scope in OUTSIDE if where == module}
        assert named <= scopes, f"{module} {named - scopes}"
