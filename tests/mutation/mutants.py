"""Makes mutants of a module: its syntax tree with one thing wrong.

| what is there | what becomes of it |
| --- | --- |
| `raise` | `pass` |
| a condition (if, while, conditional expression, filter of a comprehension) | its negation |
| `a and b`, `a or b` | the other word; each operand left out |
| a comparison | its neighbour: `<` and `<=`, `==` and `!=`, `in` and `not in`, `is` and `is not` |
| a whole number, a truth value, a text | one more; the other one; without its last character |
| `+` and `-` | each other |
| a call for its effect, an assignment to an attribute, `x += 1`, `del` | `pass` |
| a display of two or more constants | each of them left out |

Not touched: docstrings, names of codecs, annotations, what stands within a `raise` or an f-string, and expressions
given to `re.compile` (the table of named mutations has those, rules.toml).

The tree is changed in place and changed back, as copying it would cost more than everything else.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

_NEIGHBOURS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_DISPLAYS: Final = (ast.Tuple, ast.Set, ast.List)
_EFFECTS: Final = (ast.AugAssign, ast.Delete, ast.Expr)


@dataclass(frozen=True)
class Mutant:
    """One change. `name` is the same as long as the changed statement is; `line` is where it stands now."""

    name: str
    line: int
    scope: str
    """The function, as in `HeadScan.find_end`; for a constant of the module its name."""
    raises: bool
    """It takes a `raise` out."""
    code: CodeType


Replacement = tuple[ast.AST, Callable[[Any], None]]


class Mutator:
    """Walks one module."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._tree = ast.parse(source)
        self._statement: ast.stmt | None = None

    def mutants(self) -> Iterator[Mutant]:
        """All of them, in the order of the source."""
        yield from self._body(self._tree.body, "")

    def raises(self) -> int:
        """How many `raise` statements there are."""
        return sum(isinstance(node, ast.Raise) for node in ast.walk(self._tree))

    def _body(self, body: list[ast.stmt], scope: str) -> Iterator[Mutant]:
        for index, statement in enumerate(body):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue
            yield from self._in_statement(body, index, scope)

    def _in_statement(self, body: list[ast.stmt], index: int, scope: str) -> Iterator[Mutant]:
        statement = body[index]
        match statement:
            case ast.Raise():
                yield self._made(statement, scope, "pass", _put(body, index), statement, ast.Pass(), raises=True)
                return
            case ast.FunctionDef() | ast.ClassDef():
                yield from self._body(statement.body, f"{scope}.{statement.name}" if scope else statement.name)
                return
            case ast.Import() | ast.ImportFrom():
                return
        sets = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute)
        if sets or isinstance(statement, _EFFECTS):
            yield self._made(statement, scope, "pass", _put(body, index), statement, ast.Pass())
        if not scope and isinstance(statement, ast.Assign | ast.AnnAssign):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            scope = ast.unparse(target)
        for name, value in ast.iter_fields(statement):
            if name in {"annotation", "returns", "decorator_list"}:
                continue
            if name in {"test"}:
                yield from self._condition(statement, scope, statement, name)
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                yield from self._body(value, scope)
            elif isinstance(value, list):
                for place, part in enumerate(value):
                    yield from self._in_part(statement, scope, value, place, part)
            elif isinstance(value, ast.expr):
                yield from self._in_expression(statement, scope, _set(statement, name), value)

    def _in_part(self, statement: ast.stmt, scope: str, parts: list[Any], place: int, part: object) -> Iterator[Mutant]:
        """An element of a list that is no statement: an expression, a handler, a case, a withitem."""
        if isinstance(part, ast.expr):
            yield from self._in_expression(statement, scope, _put(parts, place), part)
        elif isinstance(part, ast.ExceptHandler | ast.match_case):
            yield from self._body(part.body, scope)

    def _condition(self, statement: ast.stmt, scope: str, owner: Any, field: str) -> Iterator[Mutant]:
        test = getattr(owner, field)
        negated = test.operand if _is_not(test) else ast.UnaryOp(ast.Not(), test)
        yield self._made(statement, scope, None, _set(owner, field), test, negated)

    def _in_expression(
        self, statement: ast.stmt, scope: str, put: Callable[[Any], None], node: ast.expr
    ) -> Iterator[Mutant]:
        for new in _replacements(node):
            yield self._made(statement, scope, None, put, node, new)
        match node:
            case ast.JoinedStr():
                return
            case ast.Call(func=ast.Attribute(value=ast.Name("re"))):
                return
            case ast.IfExp():
                yield from self._condition(statement, scope, node, "test")
            case ast.Compare():
                for place, operator in enumerate(node.ops):
                    other = _NEIGHBOURS[type(operator)]()
                    yield self._made(statement, scope, None, _put(node.ops, place), operator, other)
            case ast.Dict() if len(node.keys) > 1:
                for place in range(len(node.keys)):
                    pairs = [
                        (key, value)
                        for at, (key, value) in enumerate(zip(node.keys, node.values, strict=True))
                        if at != place
                    ]
                    less = ast.Dict([key for key, _ in pairs], [value for _, value in pairs])
                    yield self._made(statement, scope, None, put, node, less)
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                yield from self._in_expression(statement, scope, _set(node, name), value)
            elif isinstance(value, list):
                for place, part in enumerate(value):
                    if isinstance(part, ast.expr):
                        yield from self._in_expression(statement, scope, _put(value, place), part)
                    elif isinstance(part, ast.keyword):
                        yield from self._in_expression(statement, scope, _set(part, "value"), part.value)
                    elif isinstance(part, ast.comprehension):
                        yield from self._in_expression(statement, scope, _set(part, "iter"), part.iter)
                        for at, test in enumerate(part.ifs):
                            yield self._made(
                                statement, scope, None, _put(part.ifs, at), test, ast.UnaryOp(ast.Not(), test)
                            )
                            yield from self._in_expression(statement, scope, _put(part.ifs, at), test)

    def _made(
        self,
        statement: ast.stmt,
        scope: str,
        after: str | None,
        put: Callable[[Any], None],
        old: ast.AST,
        new: ast.AST,
        raises: bool = False,
    ) -> Mutant:
        before = _text(statement)
        put(new)
        ast.copy_location(new, statement)
        ast.fix_missing_locations(new)
        text = after or _text(statement)
        code = compile(self._tree, f"<mutant of {self._name}>", "exec")
        put(old)
        where = scope or "module"
        return Mutant(f"{self._name} {where}: {before} -> {text}", statement.lineno, where, raises, code)


def _replacements(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Constant(bool() as truth):
            yield ast.Constant(not truth)
        case ast.Constant(int() as number):
            yield ast.Constant(number + 1)
        case ast.Constant(str() | bytes() as text) if text and text != "latin-1":
            yield ast.Constant(text[:-1])
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
            for place in range(len(node.values)):
                rest = node.values[:place] + node.values[place + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, ast.Add(), right):
            yield ast.BinOp(left, ast.Sub(), right)
        case ast.BinOp(left, ast.Sub(), right):
            yield ast.BinOp(left, ast.Add(), right)
        case ast.Tuple(elts) | ast.Set(elts) | ast.List(elts) if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            if len(elts) > 1 and all(isinstance(element, ast.Constant) for element in elts):
                for place in range(len(elts)):
                    yield _without(node, place)


def _without(node: ast.expr, place: int) -> ast.expr:
    assert isinstance(node, _DISPLAYS)
    rest = node.elts[:place] + node.elts[place + 1 :]
    return ast.Set(rest) if isinstance(node, ast.Set) else type(node)(rest, ast.Load())


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _text(statement: ast.stmt) -> str:
    """A statement in one line; of a compound one, what stands before its body."""
    return ast.unparse(statement).splitlines()[0]


def _put(items: list[Any], index: int) -> Callable[[Any], None]:
    def put(new: Any) -> None:
        items[index] = new

    return put


def _set(owner: ast.AST, field: str) -> Callable[[Any], None]:
    def put(new: Any) -> None:
        setattr(owner, field, new)

    return put
