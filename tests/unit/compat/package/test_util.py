"""compat/package/: util.py beside the Gunicorn that is installed for the tests; errors.py, debug.py, config.py."""

import io
import os
import socket

import pytest

from ostler.compat.glogging import Logger
from ostler.compat.package import config, debug, errors, util

theirs = pytest.importorskip("gunicorn.util")
their_config = pytest.importorskip("gunicorn.config")

CASES = [
    ("parse_address", ("127.0.0.1:80",)), ("parse_address", ("HOST",)), ("parse_address", ("[::1]",)),
    ("parse_address", ("[::1]:9",)), ("parse_address", ("unix:/run/s",)), ("parse_address", ("unix:///run/s",)),
    ("parse_address", ("fd://3",)), ("parse_address", ("h", "5")),
    ("is_ipv6", ("::1",)), ("is_ipv6", ("1.2.3.4",)), ("is_ipv6", ("x",)),
    ("is_glob_pattern", ("/a/*.py",)), ("is_glob_pattern", ("/a/b",)),
    ("get_arity", (lambda a, b=1, *c, d=2: 0,)), ("get_username", (os.getuid(),)),
    ("to_bytestring", ("ü",)), ("to_bytestring", (b"x",)), ("bytes_to_str", (b"\xfc",)), ("bytes_to_str", ("x",)),
    ("http_date", (0,)), ("unquote_to_wsgi_str", ("%C3%BC",)), ("split_request_uri", ("//a/b?x=1#f",)),
    ("split_request_uri", ("/a?b",)), ("has_fileno", (None,)), ("has_fileno", (io.BytesIO(),)),
    ("getcwd", ()), ("import_app", ("wsgiref.simple_server:demo_app",)),
]  # fmt: skip
WRONG = [
    ("parse_address", ("h:x",)), ("parse_address", ("fd://x y",)), ("to_bytestring", (1,)),
    ("load_class", ("no_such_module.X",)), ("load_class", ("egg:no-such-distribution#x",)),
    ("import_app", ("no_such_module:app",)), ("import_app", ("wsgiref.simple_server:",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_a_helper_does_what_gunicorns_does(name, arguments):
    assert getattr(util, name)(*arguments) == getattr(theirs, name)(*arguments)


@pytest.mark.parametrize(("name", "arguments"), WRONG)
def test_a_helper_refuses_what_gunicorns_refuses(name, arguments):
    with pytest.raises(Exception) as expected:  # noqa: PT011  whatever it is, by its name
        getattr(theirs, name)(*arguments)
    with pytest.raises(Exception) as found:  # noqa: PT011
        getattr(util, name)(*arguments)
    assert found.type.__name__ == expected.type.__name__


def test_helpers_for_files_and_sockets(tmp_path):
    ours, other = socket.socketpair()
    os.set_inheritable(ours.fileno(), True)
    util.close_on_exec(ours)
    util.set_non_blocking(ours)
    assert (os.get_inheritable(ours.fileno()), os.get_blocking(ours.fileno())) == (False, False)
    util.close(ours)
    util.close(ours)
    other.close()
    path = tmp_path / "file"
    path.touch()
    util.unlink(str(path))
    util.unlink(str(path))
    assert not path.exists()


def test_classes_are_found_and_applications_can_fail_on_purpose():
    assert util.load_class(Logger) is util.load_class("gunicorn.glogging.Logger") is Logger
    calls = []
    assert util.make_fail_app("no")({}, lambda *given: calls.append(given)) == [b"no"]
    assert calls[0][0] == "500 Internal Server Error"
    util.seed()


def test_helpers_that_are_not_built_say_so():
    with pytest.raises(AttributeError, match=r"gunicorn\.util\.daemonize is not built"):
        util.daemonize  # noqa: B018


def test_errors_are_gunicorns():
    halt = errors.HaltServer("why", 7)
    assert (halt.reason, halt.exit_status, str(halt)) == ("why", 7, "<HaltServer 'why' 7>")
    assert not isinstance(halt, Exception)
    assert issubclass(errors.ConfigError, Exception)
    assert issubclass(errors.AppImportError, Exception)


def test_settings_are_classes_with_gunicorns_names_and_defaults():
    theirs_by_name = {each.name: each for each in their_config.KNOWN_SETTINGS}
    assert {each.name: each.__name__ for each in config.KNOWN_SETTINGS} == {
        name: each.__name__ for name, each in theirs_by_name.items()
    }
    assert config.AccessLogFormat.default == their_config.AccessLogFormat.default
    assert config.Backlog.cli == their_config.Backlog.cli
    made = config.make_settings(ignore=["bind"])
    assert ("bind" in made, made["backlog"].value) == (False, 2048)
    with pytest.raises(AttributeError, match=r"gunicorn\.config\.Setting is not built"):
        config.Setting  # noqa: B018


def test_tracing_of_some_modules_only_is_refused():
    with pytest.raises(NotImplementedError, match="trace_names"):
        debug.spew(trace_names=["x"])
