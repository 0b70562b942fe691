"""loader.interface_of: which interface an application speaks, without calling it."""

import functools
import sys
import types

import pytest

from ostler.app.loader import interface_of


async def asgi(scope, receive, send): ...


def wsgi(environ, start_response): ...


def passing_on(scope, receive, send):
    return asgi(scope, receive, send)


def kept(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Asgi:
    async def __call__(self, scope, receive, send): ...

    async def method(self, scope, receive, send): ...


class Wsgi:
    def __call__(self, environ, start_response): ...

    def method(self, environ, start_response): ...


class Slotted:
    """As Sentry's middleware has it: each instance brings its own __call__."""

    __slots__ = ("__call__",)

    def __init__(self, call):
        self.__call__ = call


class Around:
    def __init__(self, inner):
        functools.update_wrapper(self, inner)
        self.inner = inner

    def __call__(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


class AsgiClass:
    def __init__(self, scope, receive, send): ...

    def __await__(self):
        yield


class WsgiClass:
    def __init__(self, environ, start_response): ...

    def __iter__(self):
        yield b""


class Marked:
    def __call__(self, *args): ...


class Hostile:
    def __getattr__(self, name):
        raise RuntimeError(name)

    def __call__(self, *args): ...


def marked():
    """As asgiref marks what returns an awaitable, before Python 3.12."""

    def application(*args):
        return asgi(*args)

    application._is_coroutine = object()
    return application


@pytest.mark.parametrize(
    "application",
    [
        asgi,
        passing_on,
        kept(asgi),
        kept(kept(asgi)),
        functools.partial(asgi),
        functools.partial(lambda settings, scope, receive, send: None, {}),
        functools.partial(kept(asgi)),
        Asgi(),
        Asgi().method,
        Slotted(asgi),
        Slotted(Asgi().method),
        Around(asgi),
        Around(Asgi()),
        AsgiClass,
        marked(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_asgi_applications(application):
    assert interface_of(application) == "asgi"


@pytest.mark.parametrize(
    "application",
    [
        wsgi,
        kept(wsgi),
        functools.partial(wsgi),
        functools.partial(lambda settings, environ, start_response: None, {}),
        Wsgi(),
        Wsgi().method,
        Slotted(wsgi),
        Around(wsgi),
        WsgiClass,
        Marked(),
        Hostile(),
        lambda *args: None,
        print,
        dict,
        object(),
        None,
    ],
    ids=lambda each: type(each).__name__,
)
def test_when_in_doubt_it_is_wsgi(application):
    assert interface_of(application) == "wsgi"


def test_a_chain_of_wrappers_without_an_end_is_wsgi():
    first = Around(wsgi)
    first.__wrapped__ = second = Around(wsgi)
    second.__wrapped__ = first
    assert interface_of(first) == "wsgi"


def test_a_tornado_application_is_its_own(monkeypatch):
    class Application:
        def __call__(self, request): ...

    module = types.ModuleType("tornado.web")
    module.Application = Application
    monkeypatch.setitem(sys.modules, "tornado.web", module)
    assert interface_of(Application()) == "tornado"
    assert interface_of(wsgi) == "wsgi"
