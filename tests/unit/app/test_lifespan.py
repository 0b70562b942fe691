"""The lifespan protocol: who is served, who is not, and how a worker ends its application."""

import asyncio

import pytest

from ostler.app.lifespan import Lifespan
from ostler.errors import BootError
from tests.unit.app.serving import Log

COMPLETE = {"type": "lifespan.startup.complete"}


def live(application, mode="auto", within_s=1.0):
    """Begin and end; the lifespan, its log lines, and the BootError if there was one."""
    log = Log()
    log.setLevel("DEBUG")

    async def play():
        lifespan = Lifespan(application, mode, asyncio.get_running_loop(), log)
        try:
            await lifespan.begin()
        except BootError as error:
            return lifespan, error
        await lifespan.end(within_s)
        return lifespan, None

    lifespan, error = asyncio.run(play())
    return lifespan, log.lines, error


def test_an_application_starts_and_stops():
    heard = []

    async def application(scope, receive, send):
        assert scope["type"] == "lifespan"
        scope["state"]["pool"] = 1
        heard.append(await receive())
        await send(COMPLETE)
        heard.append(await receive())
        await send({"type": "lifespan.shutdown.complete"})
        heard.append("done")

    lifespan, lines, error = live(application, "on")
    assert heard == [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, "done"]
    assert (lifespan.state, lines, error) == ({"pool": 1}, [], None)


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_failed_start_is_reported_with_its_message(mode):
    async def application(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "Traceback\n  line\nOSError: no database\n"})
        raise RuntimeError  # as Starlette does

    _, lines, error = live(application, mode)
    assert str(error) == "the application did not start (lifespan.startup.failed): OSError: no database"
    assert error.exit_status == 3
    assert lines == [("ERROR", "the application did not start\nTraceback\n  line\nOSError: no database")]


async def refusing(scope, receive, send):
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def returning(scope, receive, send):
    pass


async def leaving(scope, receive, send):
    raise SystemExit(3)


@pytest.mark.parametrize("application", [refusing, returning, leaving])
def test_an_application_that_does_not_know_it_is_served_with_one_debug_line(application):
    _, lines, error = live(application)
    assert error is None
    ((level, text),) = lines
    assert level == "DEBUG"
    assert text.startswith("lifespan not used, the application does not know it ended=")


@pytest.mark.parametrize("application", [refusing, returning, leaving])
def test_with_on_that_is_an_error(application):
    _, _, error = live(application, "on")
    assert "asgi_lifespan is on, and the application ended its lifespan at once: " in str(error)


def test_an_application_that_raises_once_it_was_asked_is_warned_of():
    async def application(scope, receive, send):
        await receive()
        raise RuntimeError("oops")

    _, lines, error = live(application)
    assert error is None
    ((level, text),) = lines
    assert level == "WARNING"
    assert "RuntimeError: oops" in text


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_an_application_that_cancels_its_own_start_is_no_defect_of_ours(mode):
    async def application(scope, receive, send):
        await receive()
        raise asyncio.CancelledError

    _, lines, error = live(application, mode)
    assert (error is None) is (mode == "auto")
    assert "CancelledError" in f"{lines} {error}"


def test_off_asks_nobody():
    called = []

    async def application(scope, receive, send):
        called.append(scope)

    assert live(application, "off")[2] is None
    assert not called


def test_an_application_that_does_not_stop_in_time_is_cancelled():
    heard = []

    async def application(scope, receive, send):
        await send(COMPLETE)
        await receive()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    _, lines, _ = live(application, within_s=0.01)
    assert heard == ["cancelled"]
    assert lines == [("ERROR", "the application did not stop in time within_s=0.01")]


def test_a_failed_stop_is_logged():
    async def application(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "pool is busy"})

    assert live(application)[1] == [
        ("ERROR", "the application did not stop properly (lifespan.shutdown.failed)\npool is busy")
    ]


def test_an_application_that_raises_in_its_stop_is_logged():
    async def application(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await receive()
        raise SystemExit(1)

    ((level, text),) = live(application)[1]
    assert level == "ERROR"
    assert "SystemExit(1)" in text


def test_a_message_at_the_wrong_time_raises_into_the_application():
    raised = []

    async def application(scope, receive, send):
        await send(COMPLETE)
        for kind in ("lifespan.startup.complete", "lifespan.shutdown.complete", "http.response.start"):
            try:
                await send({"type": kind})
            except RuntimeError as error:
                raised.append(str(error))

    live(application)
    assert len(raised) == 3
    assert "came at the wrong time" in raised[0]
