"""The APP argument -> the application, which interface it speaks, and the paths that it is imported from.

    MODULE                      its `application`
    MODULE:ATTRIBUTE            a name of the module (dots are not followed)
    MODULE:FACTORY("x", n=1)    what the factory returns; the arguments are literals

Two errors: AppLoadError when there is no such application (exit status 4), AppBootError when the application's own
code raised (exit status 3; a module that cannot be found is this one, as in Gunicorn). Used in workers, and by
--check-config.
"""

import ast
import functools
import importlib
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from ostler.config import pastedeploy
from ostler.config.settings import Settings
from ostler.config.usercode import describe_exception
from ostler.errors import AppLoadError, BootError, ConfigError, OstlerError, reason_of

DEFAULT_ATTRIBUTE = "application"
_USUAL_NAMES = ("app", "application", "wsgi", "wsgi_app", "api", "server")
_USUAL_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "create_application", "make_application")
_ASGI_NAMES: Final = ["scope", "receive", "send"]
_MOST_LAYERS: Final = 20
"""Of wrappers around an application that are looked through."""
_SYNTAX = 'MODULE, MODULE:ATTRIBUTE or MODULE:FACTORY("literal", name=1)'

# What `apply_paths` put on sys.path, to be taken away again when another generation's paths are applied. Module state
# because sys.path is: one record for the one list of the process.
_added: list[str] = []


class AppBootError(BootError):
    """The application's code raised. The message is one line; `traceback_text` has its frames without ours, and is
    empty when there is nothing of the user's to show.
    """

    def __init__(self, summary: str, traceback_text: str) -> None:
        super().__init__(summary)
        self.traceback_text = traceback_text


@dataclass(frozen=True, slots=True)
class AppReference:
    """An APP argument, understood. `arguments` is None when the attribute itself is the application."""

    module: str
    attribute: str
    arguments: tuple[list[Any], dict[str, Any]] | None


def apply_paths(settings: Settings) -> None:
    """Enter `chdir` and put it and `pythonpath` on sys.path, in Gunicorn's order (the last inserted comes first).

    Called in each process before the application is imported; again after a reload, when it replaces what it did
    before. Raises ConfigError when the directory cannot be entered (it may have gone since the settings were read).
    """
    try:
        os.chdir(settings.chdir)
    except OSError as error:
        raise ConfigError(f'chdir: cannot enter "{settings.chdir}": {reason_of(error)}') from None
    for path in _added:
        if path in sys.path:
            sys.path.remove(path)
    _added.clear()
    for path in (settings.chdir, *settings.pythonpath):
        if path not in sys.path:
            sys.path.insert(0, path)
            _added.append(path)
    # The directories may have been looked at before this generation's files were there.
    importlib.invalidate_caches()


def loaded_before(settings: Settings) -> tuple[str, ...]:
    """Modules of the application's package that this process has imported: those that it forks do not import them anew.

    A configuration file, a hook or a logger class named by its path brings them into the master.
    """
    if not settings.wsgi_app:
        return ()
    with suppress(AppLoadError):
        package = parse_app(settings.wsgi_app).module.partition(".")[0]
        return tuple(sorted(name for name in sys.modules if name == package or name.startswith(f"{package}.")))
    return ()


def load_configured(settings: Settings) -> Callable[..., Any]:
    """The application of `settings`: that of APP, or of `paste`. Raises AppLoadError or AppBootError."""
    if settings.paste is None:
        return load_app(settings.wsgi_app, judged=bool(settings.kind))
    global_conf = pastedeploy.global_conf_of(settings.raw_paste_global_conf)
    try:
        found = pastedeploy.load_app(settings.paste, global_conf, settings.chdir)
    except (OstlerError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _boot_error(error) from error
    _check(settings.paste, found, from_factory=True, judged=bool(settings.kind))
    return found


def load_app(uri: str, *, judged: bool = True) -> Callable[..., Any]:
    """Import the application that `uri` names and return the callable. Raises AppLoadError or AppBootError.

    judged: False for a worker class of the user's own, which may call it in any way.
    """
    reference = parse_app(uri)
    module = _import(reference)
    try:
        found = getattr(module, reference.attribute)
    except AttributeError:
        message = f"application: module {reference.module} has no attribute {reference.attribute}"
        raise AppLoadError(message + _suggestion(module)) from None
    except Exception as error:  # a module's own __getattr__
        raise _boot_error(error) from error
    if reference.arguments is not None:
        found = _called(uri, found, *reference.arguments)
    _check(uri, found, from_factory=reference.arguments is not None, judged=judged)
    application: Callable[..., Any] = found
    return application


def parse_app(uri: str) -> AppReference:
    """Take an APP argument apart; nothing is imported. Raises AppLoadError."""
    module, colon, expression = uri.partition(":")
    if not module.strip() or module != module.strip() or module.startswith("."):
        raise AppLoadError(f'application: expected {_SYNTAX}, got "{uri}"')
    if not colon:
        return AppReference(module, DEFAULT_ATTRIBUTE, None)
    try:
        node = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        raise AppLoadError(f'application: expected {_SYNTAX}, got "{uri}"') from None
    match node:
        case ast.Name(id=name):
            return AppReference(module, name, None)
        case ast.Call(func=ast.Name(id=name), args=positional, keywords=keywords):
            return AppReference(module, name, _literals(uri, positional, keywords))
        case ast.Attribute() | ast.Call(func=ast.Attribute()):
            cure = "; a name with dots is not followed: import it in a module and name it there"
            raise AppLoadError(f'application: expected {_SYNTAX}, got "{uri}"{cure}')
    raise AppLoadError(f'application: expected {_SYNTAX}, got "{uri}"')


def _literals(uri: str, positional: list[ast.expr], keywords: list[ast.keyword]) -> tuple[list[Any], dict[str, Any]]:
    try:
        named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in keywords if keyword.arg is not None}
        if len(named) < len(keywords):
            raise ValueError("** in the arguments")
        return [ast.literal_eval(value) for value in positional], named
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise AppLoadError(f'application: the factory\'s arguments must be literals, got "{uri}"') from None


def _import(reference: AppReference) -> types.ModuleType:
    try:
        return importlib.import_module(reference.module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and _is_missing(reference.module, error.name):
            raise AppBootError(_not_found(reference), "") from error
        raise _boot_error(error) from error


def _is_missing(module: str, name: str | None) -> bool:
    """Whether it is APP's own module (or a package around it) that was not found, and not something it imports."""
    return name is not None and (name == module or module.startswith(name + "."))


def _not_found(reference: AppReference) -> str:
    module = reference.module
    cure = "; look at chdir and pythonpath"
    path = module.replace(".", os.sep) + ".py" if not module.endswith(".py") else module
    if module.endswith(".py") and os.path.exists(path):
        cure = f"; did you mean {module.removesuffix('.py').replace(os.sep, '.')}:{reference.attribute}?"
    elif os.sep in module:
        cure = f"; did you mean {module.removesuffix('.py').strip(os.sep).replace(os.sep, '.')}?"
    return f'no module "{module}" in {os.getcwd()} or on sys.path{cure}'


def _called(uri: str, factory: Any, positional: list[Any], named: dict[str, Any]) -> Any:
    if not callable(factory):
        raise AppLoadError(f"application: expected a factory that can be called, got {_kind(factory)} ({uri})")
    try:
        return factory(*positional, **named)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # No frame below this one: Python could not make the call, so it is APP that is wrong and not the factory.
        reached = error.__traceback__ is not None and error.__traceback__.tb_next is not None
        if isinstance(error, TypeError) and not reached:
            raise AppLoadError(f"application: wrong arguments for the factory in {uri}: {error}") from error
        raise _boot_error(error) from error


def _boot_error(error: BaseException) -> AppBootError:
    return AppBootError(*describe_exception(error))


Interface = Literal["asgi", "wsgi", "tornado"]
"""How an application is called: `await app(scope, receive, send)`, `app(environ, start_response)`, or by tornado."""


_TORNADO: Final = (("tornado.web", "Application"), ("tornado.wsgi", "WSGIContainer"))
"""What tornado's own server is started with. Whoever has made one has imported these."""


def interface_of(application: object) -> Interface:
    """Which interface `application` speaks, without calling it: "wsgi" when nothing says that it is another one.

    What counts is what a call would reach: the coroutine function behind partials, methods and decorators, or the names
    (scope, receive, send) of whatever plain function or object passes an ASGI call on. No user's object makes this
    raise.
    """
    try:
        for module, name in _TORNADO:
            if module in sys.modules and isinstance(application, getattr(sys.modules[module], name)):
                return "tornado"
        return "asgi" if _is_asgi(application) else "wsgi"
    except Exception:  # noqa: BLE001  proxies and lazy objects of the user's may raise anything from any attribute
        return "wsgi"


def _is_asgi(found: Any) -> bool:
    for _ in range(_MOST_LAYERS):
        if isinstance(found, type):
            # ASGI 3 as a class: its instances are awaited. Without __await__ it is a WSGI class (PEP 3333's AppClass).
            return inspect.getattr_static(found, "__await__", None) is not None
        if inspect.iscoroutinefunction(found) or "_is_coroutine" in getattr(found, "__dict__", ()):
            return True  # the latter is asgiref's mark, which inspect knows from Python 3.12 on
        names = _positional(found)
        if names == _ASGI_NAMES:
            return True
        if len(names) == 2:
            return False
        if isinstance(found, functools.partial):
            found = found.func
            continue
        inner = _inner(found)
        if inner is None:
            return False
        found = inner
    return False


def _positional(found: Any) -> list[str]:
    """The names of what has to be given to `found`, which is no class; empty where it does not say."""
    plain = isinstance(found, types.FunctionType | types.MethodType | functools.partial)
    try:
        parameters = inspect.signature(found if plain else _call_of(found), follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each.name for each in parameters if each.kind in kinds and each.default is each.empty]


def _call_of(found: Any) -> Any:
    """What Python calls when an instance is called: its type's __call__, which may be a slot that each one fills."""
    call = inspect.getattr_static(type(found), "__call__")
    return call.__get__(found, type(found)) if hasattr(type(call), "__get__") else call


def _inner(found: Any) -> Any:
    """What a call of `found` leads to, as far as it shows; None where it does not."""
    wrapped = getattr(found, "__wrapped__", None)
    if wrapped is not None and wrapped is not found:
        return wrapped
    if isinstance(found, types.FunctionType | types.BuiltinFunctionType):
        return None
    if isinstance(found, types.MethodType):
        return found.__func__
    call = _call_of(found)
    return call if callable(call) and not isinstance(call, types.MethodWrapperType) else None


def _check(uri: str, found: Any, *, from_factory: bool, judged: bool) -> None:
    """Refuse what certainly cannot answer a request, now and not at the first one."""
    if not callable(found):
        raise AppLoadError(f"application: expected a callable, got {_kind(found)} ({uri})")
    if not judged:
        return
    # Decorators may show another signature than the one that counts: only plain functions are judged.
    if isinstance(found, types.FunctionType) and not hasattr(found, "__wrapped__"):
        asgi = interface_of(found) == "asgi"
        arguments = _ASGI_NAMES if asgi else ["environ", "start_response"]
        try:
            inspect.signature(found).bind(*arguments)
        except TypeError:
            needed = sum(p.default is p.empty for p in inspect.signature(found).parameters.values())
            cure = f"; if it makes the application, write {uri}()" if not from_factory and needed == 0 else ""
            if asgi and cure:
                cure = "; an async function cannot make the application"
            raise AppLoadError(
                f"application: expected a callable for ({', '.join(arguments)}), got {'an async' if asgi else 'a'} "
                f"function with {len(inspect.signature(found).parameters)} parameters ({uri}){cure}"
            ) from None


def _kind(found: object) -> str:
    return "None" if found is None else f"{type(found).__name__} {found!r:.60}"


def _suggestion(module: types.ModuleType) -> str:
    """The cure for a missing attribute: what the module has that could be meant."""
    candidates = list(_candidates(module))
    for name in _USUAL_NAMES:
        if name in candidates:
            return f"; did you mean {module.__name__}:{name}?"
    for name in _USUAL_FACTORIES:
        if name in candidates:
            return f"; did you mean {module.__name__}:{name}()?"
    if len(candidates) == 1:
        return f"; did you mean {module.__name__}:{candidates[0]}?"
    if candidates:
        return f"; its callables are {', '.join(candidates[:8])}"
    return "; it has no callable of its own"


def _candidates(module: types.ModuleType) -> Iterator[str]:
    """Public callables: functions that the module defines, and objects that can be called; no classes."""
    for name, value in list(vars(module).items()):
        # type() and not isinstance(): Flask's `request` and its like answer for an object that does not exist yet.
        kind = type(value)
        if name.startswith("_") or not callable(value) or issubclass(kind, type):
            continue
        if kind.__module__ in ("typing", "werkzeug.local"):
            continue
        plain = kind in (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
        if not plain or getattr(value, "__module__", None) == module.__name__:
            yield name
