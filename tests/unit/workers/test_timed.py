"""Where an exception may be raised in a call, and where not: workers/places.py; and how: process/interruption.py."""

import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest

from ostler.app.wsgi import WsgiAdapter
from ostler.errors import RequestTimeout
from ostler.process.interruption import INTERRUPT_SIGNAL, MainThread, raise_in, take_back
from ostler.workers.places import in_application, may_raise


class Code:
    """A function of a module of this name, and what it calls."""

    def __init__(self, module: str) -> None:
        names: dict[str, Any] = {"__name__": module}
        exec("def call(inner): return inner()", names)  # a function needs globals of its own for this
        self.call = names["call"]


APPLICATION, OURS, LIBRARY = Code("shop.views"), Code("ostler.drivers.transport"), Code("logging")


def called(*path: Code) -> bool:
    """What `in_application` says of a call of the adapter's that goes through these."""
    seen: list[bool] = []

    def look() -> None:
        seen.append(in_application(sys._getframe(1)))

    def down(codes: tuple[Code, ...]) -> Any:
        inner = look if len(codes) == 1 else (lambda: down(codes[1:]))
        return codes[0].call(inner)

    served(down, path)
    return seen[0]


def served(down: Any, path: tuple[Code, ...]) -> None:
    """In a frame of WsgiAdapter.serve."""
    adapter = object.__new__(WsgiAdapter)
    adapter._application = lambda _environ, _start: down(path)  # type: ignore[assignment]  # what it calls

    class Sink:
        muted = False

    adapter.fail = lambda *_: None  # type: ignore[method-assign]  # the response is nobody's here
    adapter.serve({}, None, Sink(), type("Said", (), {"start_response": None})())  # type: ignore[arg-type]


def test_only_the_applications_own_code_is_interrupted() -> None:
    assert called(APPLICATION)
    assert called(APPLICATION, LIBRARY)
    assert not called(APPLICATION, OURS)
    assert not called(APPLICATION, LIBRARY, OURS, LIBRARY)


def test_what_is_no_call_is_not_interrupted() -> None:
    assert not in_application(sys._getframe())
    assert not in_application(None)


def standing(source: str, path: str) -> list[tuple[bool, bool]]:
    """Of code of the application's that calls `look`, while it waits and otherwise."""
    seen: list[tuple[bool, bool]] = []

    def look(*_: object) -> None:
        frame = sys._getframe(1)
        seen.append((may_raise(frame, True), may_raise(frame, False)))

    names: dict[str, Any] = {"__name__": path, "look": look, "box": type("Box", (), {"acquire": look, "add": look})()}
    exec(source, names)

    class Standing:
        def call(self, _inner: object) -> Any:
            return names["call"]()

    served(lambda codes: codes[0].call(None), (Standing(),))  # type: ignore[arg-type]  # what it has of a Code
    return seen


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("shop.views", "def call(): look()", (True, True)),
        ("shop.views", "def call():\n box.acquire()", (True, False)),
        ("shop.views", "def call():\n box.acquire\n box.add()", (True, True)),
        ("logging", "def acquire(): look()\ncall = acquire", (True, False)),
        ("threading", "def __enter__(): look()\ncall = __enter__", (True, False)),
        ("shop.views", "def __exit__(): look()\ndef call(): __exit__()", (True, False)),
        ("shop.views", "def wait(): look()\ndef __exit__(): wait()\ndef call(): __exit__()", (True, True)),
        ("shop.views", "def wait(): look()\ndef __del__(): wait()\ndef call(): __del__()", (False, False)),
        ("importlib._bootstrap", "def call(): look()", (True, False)),
    ],
)
def test_a_lock_is_not_lost(module: str, source: str, expected: tuple[bool, bool]) -> None:
    """Whoever has just acquired it has to reach the `try` that releases it."""
    assert standing(source, module) == [expected]


@pytest.mark.parametrize("taken_back", [False, True])
def test_an_exception_reaches_another_thread_unless_it_is_taken_back(taken_back: bool) -> None:
    """It comes when the thread is back from C."""
    told: list[str] = []
    gate, waits = threading.Lock(), threading.Event()
    gate.acquire()

    def wait() -> None:
        try:
            waits.set()
            gate.acquire()
            told.append("went on")
        except RequestTimeout:
            told.append("raised")

    thread = threading.Thread(target=wait)
    thread.start()
    waits.wait(5)
    assert thread.ident is not None
    while getattr(sys._current_frames()[thread.ident].f_code, "co_name", "") != "wait":
        pass  # it is between the two calls
    assert raise_in(thread.ident, RequestTimeout)
    if taken_back:
        take_back(thread.ident)
    gate.release()
    thread.join(5)
    assert told == ["went on" if taken_back else "raised"]
    assert not raise_in(thread.ident, RequestTimeout), "there is no such thread any more"


def test_the_main_thread_is_woken_up_wherever_it_waits() -> None:
    import signal

    def woken(frame: FrameType | None) -> None:
        assert frame is not None
        raise RequestTimeout("woken")

    former = signal.getsignal(INTERRUPT_SIGNAL)
    try:
        main = MainThread(woken)
        timer = threading.Timer(0.05, main.wake)
        timer.start()
        began = time.monotonic()
        with pytest.raises(RequestTimeout, match="woken"):
            time.sleep(10)
        assert time.monotonic() - began < 5
        timer.join()
    finally:
        signal.signal(INTERRUPT_SIGNAL, former)
