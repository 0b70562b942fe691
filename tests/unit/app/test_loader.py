import os
import sys
import types

import pytest

from ostler.app.loader import AppBootError, apply_paths, interface_of, load_app, loaded_before, parse_app
from ostler.config.settings import Settings
from ostler.errors import AppLoadError, BootError, ConfigError

APP = "def {name}(environ, start_response):\n    return ['{name}']\n"


def write(start, text, name="wsgi.py"):
    (start / name).write_text(text)


def refusal(uri):
    with pytest.raises(AppLoadError) as caught:
        load_app(uri)
    assert caught.value.exit_status == 4
    assert "\n" not in str(caught.value)
    return str(caught.value)


def boot_failure(uri):
    with pytest.raises(AppBootError) as caught:
        load_app(uri)
    assert isinstance(caught.value, BootError)
    assert caught.value.exit_status == 3
    assert "\n" not in str(caught.value)
    return caught.value


# What APP may be


def test_a_module_alone_means_its_application(start):
    write(start, APP.format(name="application"))
    assert load_app("wsgi")(None, None) == ["application"]


def test_an_attribute_may_be_named(start):
    write(start, APP.format(name="other"))
    assert load_app("wsgi:other")(None, None) == ["other"]


def test_a_module_may_be_in_a_package(start):
    (start / "site_of_test").mkdir()
    write(start, APP.format(name="app"), "site_of_test/wsgi.py")
    assert load_app("site_of_test.wsgi:app")(None, None) == ["app"]


def test_a_factory_is_called_with_literals(start):
    write(start, "def make(*args, **named):\n    return lambda environ, start_response: (args, named)\n")
    assert load_app("wsgi:make()")(None, None) == ((), {})
    assert load_app("wsgi:make('a:b', 1, debug=True, only=['x'])")(None, None) == (
        ("a:b", 1),
        {"debug": True, "only": ["x"]},
    )


def test_an_object_or_class_with_a_call_is_an_application(start):
    write(
        start,
        "class App:\n    def __init__(self, *request): ...\n"
        "    def __call__(self, environ, start_response): ...\napp = App()\n",
    )
    assert load_app("wsgi:app")(None, None) is None
    assert load_app("wsgi:App").__name__ == "App"


@pytest.mark.parametrize(
    "uri",
    ["", ":app", " wsgi:app", ".wsgi:app", "wsgi:", "wsgi:1", "wsgi:app(", "wsgi:a b", "wsgi:app[0]", "wsgi:app\0"],
)
def test_what_is_not_the_syntax_is_refused_before_anything_is_imported(uri):
    with pytest.raises(AppLoadError, match="expected MODULE, MODULE:ATTRIBUTE or"):
        parse_app(uri)


def test_dots_in_the_attribute_are_refused_with_a_cure():
    for uri in ("wsgi:site.app", "wsgi:site.make()"):
        with pytest.raises(AppLoadError, match="a name with dots is not followed"):
            parse_app(uri)


@pytest.mark.parametrize("arguments", ["name", "f()", "*[1]", "**{}", "x=y", "{[]: 1}"])
def test_arguments_that_are_no_literals_are_refused(arguments):
    with pytest.raises(AppLoadError, match="must be literals"):
        parse_app(f"wsgi:make({arguments})")


# What is not there


def test_a_missing_attribute_names_the_application_that_is_there(start):
    write(start, "import json\nclass Model: ...\n" + APP.format(name="helper") + APP.format(name="app"))
    assert refusal("wsgi") == ("application: module wsgi has no attribute application; did you mean wsgi:app?")


def test_a_missing_attribute_names_the_flask_application_and_not_its_proxies(start):
    write(start, "from flask import Flask, current_app, g, request\nsite = Flask(__name__)\n")
    assert refusal("wsgi").endswith("; did you mean wsgi:site?")


def test_a_missing_attribute_names_the_factory_that_is_there(start):
    write(start, "def create_app():\n    ...\n")
    assert refusal("wsgi:app").endswith("; did you mean wsgi:create_app()?")


def test_a_missing_attribute_lists_the_callables_of_the_module(start):
    text = "from json import dumps\nfrom typing import Any\nclass Model: ...\n" + APP.format(name="_hidden")
    write(start, text + APP.format(name="serve"))
    assert refusal("wsgi").endswith("; did you mean wsgi:serve?")
    write(start, text + APP.format(name="one") + APP.format(name="two"), "two_of_test.py")
    assert refusal("two_of_test").endswith("; its callables are one, two")
    write(start, "x = 1\n", "nothing_of_test.py")
    assert refusal("nothing_of_test").endswith("; it has no callable of its own")


def test_a_module_that_is_not_there_is_a_failed_boot_as_in_gunicorn(start):
    error = boot_failure("no_module_of_test:app")
    assert str(error) == (f'no module "no_module_of_test" in {start} or on sys.path; look at chdir and pythonpath')
    assert error.traceback_text == ""


def test_a_file_name_for_a_module_is_recognized(start):
    write(start, APP.format(name="app"), "site_of_test.py")
    assert str(boot_failure("site_of_test.py:app")).endswith("did you mean site_of_test:app?")
    assert str(boot_failure("site/of/test:app")).endswith("did you mean site.of.test?")


def test_a_module_that_the_application_misses_is_told_from_the_application(start):
    write(start, "import no_module_of_test\n")
    error = boot_failure("wsgi:app")
    assert str(error) == "ModuleNotFoundError: No module named 'no_module_of_test' in wsgi.py:1"
    assert "import no_module_of_test" in error.traceback_text


# What is no application


@pytest.mark.parametrize("text", ["app = None", "app = 'text'", "app = 3"])
def test_what_cannot_be_called_is_refused(start, text):
    write(start, text)
    assert refusal("wsgi:app").startswith("application: expected a callable, got")


def test_a_factory_that_returns_nothing_is_refused(start):
    write(start, "def make(): ...\n")
    assert refusal("wsgi:make()") == "application: expected a callable, got None (wsgi:make())"


def test_a_factory_that_cannot_be_called_is_refused(start):
    write(start, "make = 3\n")
    assert "expected a factory that can be called, got int 3" in refusal("wsgi:make()")


def test_a_factory_without_its_parentheses_is_recognized(start):
    write(start, "def make(): ...\n")
    assert refusal("wsgi:make").endswith("if it makes the application, write wsgi:make()")


def test_a_decorated_function_is_not_judged_by_its_looks(start):
    write(
        start,
        "import functools\ndef inner(): ...\n@functools.wraps(inner)\ndef app(environ, start_response): return 'ok'\n",
    )
    assert load_app("wsgi:app")(None, None) == "ok"


@pytest.mark.parametrize(
    "text",
    [
        "async def app(scope, receive, send): ...",
        "class App:\n    async def __call__(self, scope, receive, send): ...\napp = App()",
    ],
)
def test_an_asgi_application_is_an_application(start, text):
    write(start, text)
    assert interface_of(load_app("wsgi:app")) == "asgi"


def test_an_async_function_that_takes_no_request_is_refused(start):
    write(start, "async def app(): ...")
    assert refusal("wsgi:app") == (
        "application: expected a callable for (scope, receive, send), got an async function with 0 parameters "
        "(wsgi:app); an async function cannot make the application"
    )


def test_wrong_arguments_for_the_factory_are_refused(start):
    write(start, "def make(a): ...\n")
    assert refusal("wsgi:make(1, 2)") == (
        "application: wrong arguments for the factory in wsgi:make(1, 2): "
        "make() takes 1 positional argument but 2 were given"
    )


# What raises


def test_a_type_error_inside_the_factory_is_the_applications(start):
    write(start, "def make():\n    len(3)\n")
    assert str(boot_failure("wsgi:make()")) == "TypeError: object of type 'int' has no len() in wsgi.py:2"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("1/0\n", "ZeroDivisionError: division by zero in wsgi.py:1"),
        ("x = 1\nimport sys\nsys.exit(3)\n", "SystemExit(3) in wsgi.py:3"),
        ("class E(BaseException): ...\nraise E('x')\n", "E: x in wsgi.py:2"),
        ("x = (\n", "SyntaxError: '(' was never closed in wsgi.py:1"),
    ],
)
def test_code_that_raises_is_one_line_and_a_traceback_without_us(start, text, summary):
    write(start, text)
    error = boot_failure("wsgi:app")
    assert str(error) == summary
    assert "wsgi.py" in error.traceback_text
    for foreign in ("ostler", "importlib", "<frozen"):
        assert foreign not in error.traceback_text


def test_an_interrupt_stays_one(start):
    write(start, "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_app("wsgi:app")


# Where it is looked for


@pytest.fixture
def paths(start):
    """apply_paths for directories below `start`; sys.path without them again afterwards."""

    def apply(chdir, *pythonpath):
        apply_paths(Settings.defaults(chdir=str(start / chdir), pythonpath=tuple(str(start / p) for p in pythonpath)))

    for name in ("one", "two", "lib"):
        (start / name).mkdir()
    yield apply
    os.chdir(start)


def test_the_directory_is_entered_and_importable(start, paths):
    paths("one", "lib", "two")
    assert os.getcwd() == str(start / "one")
    # As in Gunicorn, each is put in front of those before it.
    assert sys.path[:3] == [str(start / "two"), str(start / "lib"), str(start / "one")]


def test_the_paths_of_the_generation_before_are_taken_away(start, paths):
    for name in ("one", "two", "one"):
        paths(name)
        assert sys.path[0] == str(start / name)
    assert str(start / "two") not in sys.path


def test_a_path_that_was_there_keeps_its_place(start, paths):
    sys.path.append(str(start / "one"))
    before = sys.path.copy()
    paths("one")
    assert sys.path == before
    paths("two")
    assert str(start / "one") in sys.path


def test_a_directory_that_has_gone_is_told(paths):
    with pytest.raises(ConfigError, match="chdir: cannot enter"):
        paths("missing")


def test_modules_of_the_application_that_are_loaded_already_are_named(monkeypatch):
    for name in ("shop", "shop.models", "shopping"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert loaded_before(Settings.defaults(wsgi_app="shop.wsgi:app")) == ("shop", "shop.models")
    assert loaded_before(Settings.defaults(wsgi_app="other:app")) == ()
    assert loaded_before(Settings.defaults(wsgi_app="")) == ()
