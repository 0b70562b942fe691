"""app/letting_go.py: idle connections of known libraries are closed, whatever one of them does."""

import gc
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from ostler.app.letting_go import let_go

closed: list[str] = []


class Engine:
    """As SQLAlchemy's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def dispose(self) -> None:
        if self.name == "broken":
            raise RuntimeError("not now")
        closed.append(self.name)


class OwnEngine(Engine):
    """An application's own kind."""


@pytest.fixture(autouse=True)
def _small_heap() -> Iterator[None]:
    gc.freeze()
    closed.clear()
    yield
    gc.unfreeze()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sqlalchemy.engine.base")
    vars(module)["Engine"] = Engine
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("library")
def test_all_that_a_library_made_is_closed_though_one_of_it_fails() -> None:
    engines = [Engine("one"), Engine("broken"), OwnEngine("two")]
    let_go()
    assert closed == ["one", "two"]
    del engines


def test_django_s_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = SimpleNamespace(close_all=lambda: closed.append("django"))
    module = ModuleType("django.db")
    vars(module)["connections"] = connections
    monkeypatch.setitem(sys.modules, "django.db", module)
    let_go()
    assert closed == ["django"]


@pytest.mark.usefixtures("library")
def test_without_them_nothing_happens() -> None:
    let_go()
    assert closed == []
