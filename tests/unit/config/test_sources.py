import os
import sys
from pathlib import Path

import pytest

from ostler.config.address import TcpAddress, UnixAddress
from ostler.config.sources import ServerSection, load_settings, start_directory
from ostler.config.usercode import ConfigFileError
from ostler.errors import ConfigError, OstlerError, UsageError

EXAMPLE = Path(__file__).parents[3] / "examples" / "configuration"


def load(start, *words, app="app:app", **environ):
    return load_settings([*words, *([app] if app else [])], environ, str(start))


def failure(start, *words, app="app:app", kind=OstlerError, **environ):
    with pytest.raises(kind) as caught:
        load(start, *words, app=app, **environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(start, text, name="gunicorn.conf.py"):
    (start / name).write_text(text)


# Sources and their order


def test_without_anything_the_defaults_apply(start):
    settings = load(start)
    assert settings.workers == 1
    assert settings.wsgi_app == "app:app"
    assert settings.chdir == str(start)
    assert settings.config is None
    assert settings.origin("workers") == "default"
    assert settings.origin("wsgi_app") == "command line"


def test_each_source_overrides_those_below_it(start):
    environ = {"WEB_CONCURRENCY": "2"}
    assert (load(start, **environ).workers, load(start, **environ).origin("workers")) == (2, "WEB_CONCURRENCY")
    write(start, "workers = 3\n")
    assert (load(start, **environ).workers, load(start, **environ).origin("workers")) == (3, "gunicorn.conf.py")
    environ["GUNICORN_CMD_ARGS"] = "-w 4"
    assert (load(start, **environ).workers, load(start, **environ).origin("workers")) == (4, "GUNICORN_CMD_ARGS")
    environ["OSTLER_CMD_ARGS"] = "-w 5"
    assert (load(start, **environ).workers, load(start, **environ).origin("workers")) == (5, "OSTLER_CMD_ARGS")
    settings = load(start, "-w", "6", **environ)
    assert (settings.workers, settings.origin("workers")) == (6, "command line")


def test_a_variable_of_a_setting_stands_between_file_and_arguments(start):
    environ = {"OSTLER_WORKERS": "7", "WEB_CONCURRENCY": "2"}
    write(start, "workers = 3\n")
    settings = load(start, **environ)
    assert (settings.workers, settings.origin("workers")) == (7, "OSTLER_WORKERS")
    assert load(start, GUNICORN_CMD_ARGS="-w 4", **environ).workers == 4


def test_variables_may_name_the_application_the_file_and_a_hook(start):
    write(start, "workers = 3\ndef ready(server): return 'ready'\n", "other_of_test.py")
    environ = {"OSTLER_WSGI_APP": "named:app", "OSTLER_CONFIG": "other_of_test.py"}
    settings = load(start, app=None, OSTLER_WHEN_READY="other_of_test.ready", **environ)
    assert (settings.wsgi_app, settings.workers, settings.config) == ("named:app", 3, "other_of_test.py")
    assert settings.hooks.when_ready(1) == "ready"
    write(start, "workers = 4\n", "more.py")
    assert load(start, "-c", "more.py", **environ).workers == 4


def test_a_wrong_value_in_a_variable_is_told_with_its_name(start):
    assert failure(start, OSTLER_WORKERS="four", kind=ConfigError) == (
        'workers: expected a positive integer, got "four" (from OSTLER_WORKERS)'
    )
    assert failure(start, OSTLER_RELOAD="ja", kind=ConfigError) == (
        'reload: expected one of true, false, 1, 0, yes, no, on, off, got "ja" (from OSTLER_RELOAD)'
    )


def test_a_variable_that_is_nearly_a_setting_gives_a_notice(start):
    (notice,) = load(start, OSTLER_WORKER="3", OSTLER_HOME="/opt").notices
    assert notice == "OSTLER_WORKER: not a setting; did you mean OSTLER_WORKERS? (from the environment)"


def test_sendfile_is_switched_by_its_old_variable_when_nothing_else_does(start):
    assert load(start).sendfile
    assert not load(start, SENDFILE="no").sendfile
    assert load(start, SENDFILE="yes").sendfile
    assert not load(start, "--no-sendfile", SENDFILE="yes").sendfile


def test_port_and_forwarded_allow_ips_come_from_the_environment(start):
    settings = load(start, PORT="5000", FORWARDED_ALLOW_IPS="*")
    assert settings.bind == (TcpAddress("0.0.0.0", 5000),)
    assert settings.origin("bind") == "PORT"
    assert settings.forwarded_allow_ips.everybody


def test_a_variable_that_is_overridden_may_hold_anything(start):
    assert load(start, "-w", "2", WEB_CONCURRENCY="many").workers == 2


def test_an_application_on_the_command_line_wins_over_the_setting(start):
    write(start, "wsgi_app = 'file:app'\n")
    assert load(start, app=None).wsgi_app == "file:app"
    assert load(start).wsgi_app == "app:app"


def test_without_an_application_the_line_shows_an_example(start):
    expected = "no application given; expected MODULE[:ATTRIBUTE], e.g. ostler myapp:app"
    assert failure(start, app=None, kind=ConfigError) == expected
    write(start, "wsgi_app = None\n")
    assert failure(start, app=None, kind=ConfigError) == expected


# Which file


def test_a_file_may_be_named_by_path_scheme_or_module(start):
    write(start, "workers = 3\n", "other.py")
    for location in ("other.py", "file:other.py", str(start / "other.py"), "python:other"):
        settings = load(start, "-c", location)
        assert (settings.workers, settings.origin("workers"), settings.config) == (3, location, location)


def test_a_file_named_on_the_command_line_wins_over_one_named_in_variables(start):
    for number, name in enumerate(["one.py", "two.py", "three.py"], 1):
        write(start, f"workers = {number}\n", name)
    environ = {"GUNICORN_CMD_ARGS": "-c one.py"}
    assert load(start, **environ).workers == 1
    environ["OSTLER_CMD_ARGS"] = "-c two.py"
    assert load(start, **environ).workers == 2
    assert load(start, "-c", "three.py", **environ).workers == 3


def test_our_own_default_file_is_read(start):
    write(start, "threads = 2\n", "ostler.conf.py")
    settings = load(start)
    assert (settings.threads, settings.origin("threads")) == (2, "ostler.conf.py")


def test_two_default_files_are_an_error_that_names_both(start):
    write(start, "")
    write(start, "", "ostler.conf.py")
    assert "got gunicorn.conf.py and ostler.conf.py" in failure(start)
    assert load(start, "-c", "ostler.conf.py").workers == 1


def test_toml_is_found_and_named_like_python(start):
    write(start, "workers = 3\nbind = [':1', ':2']\n", "ostler.toml")
    for words in ((), ("-c", "ostler.toml"), ("-c", "file:ostler.toml"), ("-c", str(start / "ostler.toml"))):
        settings = load(start, *words)
        assert (settings.workers, settings.origin("workers")) == (3, settings.config)
        assert [address.port for address in settings.bind] == [1, 2]


def test_a_projects_file_counts_when_it_has_our_table(start):
    write(start, "[project]\nname = 'x'\n", "pyproject.toml")
    assert load(start).config is None
    write(start, "[tool.ostler]\nworkers = 3\n", "pyproject.toml")
    settings = load(start)
    assert (settings.workers, settings.origin("workers")) == (3, "pyproject.toml")
    write(start, "", "ostler.toml")
    assert "got ostler.toml and [tool.ostler] in pyproject.toml" in failure(start)
    assert load(start, "-c", "pyproject.toml").workers == 3


def test_a_projects_broken_file_is_an_error_only_when_it_speaks_of_us(start):
    write(start, "[project\ndependencies = ['ostler']\n", "pyproject.toml")
    assert load(start).config is None
    write(start, "[project\n[tool.ostler]\nworkers = 3\n", "pyproject.toml")
    assert failure(start, kind=ConfigError).startswith("config: pyproject.toml:1:9: expected TOML: ")


def test_an_unknown_key_in_toml_is_an_error_with_the_name_that_was_meant(start):
    write(start, "worker = 3\n", "ostler.toml")
    assert failure(start, kind=ConfigError) == (
        "worker: expected a setting, got a name that is none (from ostler.toml); did you mean workers?"
    )
    write(start, "[unrelated]\nx = 3\n", "ostler.toml")
    assert failure(start) == "unrelated: expected a setting, got a name that is none (from ostler.toml)"


def test_the_example_of_the_guide_is_a_configuration_without_notices(start):
    for file in EXAMPLE.glob("*.*"):
        write(start, file.read_text(), file.name)
    settings = load(start, app=None)
    assert settings.notices == ()
    assert (settings.workers, settings.wsgi_app) == (4, "guestbook:create_app('production')")
    assert settings.hooks.when_ready.__qualname__ == "when_ready"
    assert settings.access_log_skip == ("/health",)


def test_values_of_toml_are_read_as_those_of_python(start):
    write(start, "workers = 'four'\n", "ostler.toml")
    assert failure(start) == 'workers: expected a positive integer, got "four" (from ostler.toml)'
    write(start, "workers = 2.5\n", "ostler.toml")
    assert failure(start) == "workers: expected a positive integer, got 2.5 (from ostler.toml)"
    write(start, "def ready(server): return 'ready'\n", "toml_hooks_of_test.py")
    write(start, "when_ready = 'toml_hooks_of_test.ready'\n[secure_scheme_headers]\nX-A = 'b'\n", "ostler.toml")
    settings = load(start)
    assert settings.hooks.when_ready(1) == "ready"
    assert settings.secure_scheme_headers == {"X-A": "b"}


def test_a_file_that_is_no_python_by_name_is_read_with_a_notice(start):
    write(start, "workers = 3\n", "settings.ini")
    settings = load(start, "-c", "settings.ini")
    assert settings.workers == 3
    assert settings.notices == (
        "config: settings.ini is read as Python although its name does not end in .py (from the command line)",
    )
    assert load(start, "-c", "/dev/null").notices == ()


def test_names_that_are_nearly_settings_give_notices_with_their_line(start):
    write(start, "worker = 3\n\nkeep_alive = 5\nworker_count = 2\n")
    expected = (
        "worker: not a setting; did you mean workers? (from gunicorn.conf.py:1)",
        "keep_alive: not a setting; did you mean keepalive? (from gunicorn.conf.py:3)",
    )
    assert load(start).notices == expected
    (start / "gunicorn.conf.py").rename(start / "near_of_test.py")
    from_module = tuple(line.replace("gunicorn.conf.py", "python:near_of_test") for line in expected)
    assert load(start, "-c", "python:near_of_test").notices == from_module


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("missing.py", 'config: expected a file, got "missing.py": nothing there (from the command line)'),
        (
            "conf.prod",
            'config: expected a file, got "conf.prod": nothing there (from the command line); '
            "did you mean python:conf.prod?",
        ),
        (".", 'config: expected a file, got ".": a directory (from the command line)'),
        ("", 'config: expected a path, got "" (from the command line)'),
    ],
)
def test_a_file_that_cannot_be_read_is_named(start, location, message):
    assert failure(start, "-c", location, kind=ConfigError) == message


def test_the_systems_reason_is_given_for_an_unreadable_file(start):
    write(start, "")
    location = "gunicorn.conf.py/inner"  # a permission would not stop root, under whom tests may run
    assert failure(start, "-c", location) == (
        f'config: cannot read "{location}": not a directory (from the command line)'
    )


# What a file may do


def test_names_that_are_no_settings_are_the_files_own(start):
    write(start, "import multiprocessing as mp\nhelper = 3\ndef f(): ...\nworkers = helper\n")
    assert load(start).workers == 3


def test_a_file_runs_in_the_start_directory_with_its_name_and_helpers(start):
    write(start, "count = 4\n", "helpers_of_test.py")
    write(
        start,
        "import os, helpers_of_test\n"
        "assert os.path.isabs(__file__) and os.path.basename(__file__) == 'gunicorn.conf.py'\n"
        "workers = helpers_of_test.count\n"
        "raw = os.getcwd()\n"
        f"assert os.path.samefile(raw, {str(start)!r})\n",
    )
    assert load(start, "--chdir", "/").workers == 4
    assert os.getcwd() == str(start)


def test_a_file_runs_again_each_time_even_within_the_same_second(start):
    write(start, "workers = 3\n")
    assert load(start).workers == 3
    write(start, "workers = 4\n")
    assert load(start).workers == 4
    assert not (start / "__pycache__").exists()


def test_a_module_runs_again_each_time(start):
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        write(start, "workers = 3\n", "conf_module_of_test.py")
        assert load(start, "-c", "python:conf_module_of_test").workers == 3
        write(start, "workers = 4\n", "conf_module_of_test.py")
        assert load(start, "-c", "python:conf_module_of_test").workers == 4
    finally:
        sys.dont_write_bytecode = before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workers = 1\nx = 1/0\n", "config: gunicorn.conf.py raised ZeroDivisionError: division by zero in"),
        ("import sys\nsys.exit(7)\n", "config: gunicorn.conf.py raised SystemExit(7) in"),
        ("workers = \n", "config: gunicorn.conf.py raised SyntaxError: invalid syntax in"),
        ("import nonexistent_module_of_test\n", "config: gunicorn.conf.py raised ModuleNotFoundError: No module"),
        ("x = '\xff'", "config: gunicorn.conf.py raised SyntaxError:"),
    ],
)
def test_a_file_that_raises_is_one_line_with_its_place(start, text, message):
    (start / "gunicorn.conf.py").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigFileError) as caught:
        load(start)
    assert str(caught.value).startswith(message)
    assert "gunicorn.conf.py:" in str(caught.value)
    assert "src/ostler" not in caught.value.traceback_text
    assert "__config__" not in sys.modules
    assert os.getcwd() == str(start)


def test_a_module_that_raises_leaves_the_one_before_in_place(start):
    write(start, "workers = 3\n", "conf_module_of_test.py")
    load(start, "-c", "python:conf_module_of_test")
    good = sys.modules["conf_module_of_test"]
    write(start, "workers = 30\nraise ValueError\n", "conf_module_of_test.py")
    assert "raised ValueError in conf_module_of_test.py:2" in failure(start, "-c", "python:conf_module_of_test")
    assert sys.modules["conf_module_of_test"] is good


def test_an_interrupt_while_a_file_runs_stays_one(start):
    write(start, "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load(start)


def test_the_traceback_has_the_users_frames_only(start):
    write(start, "def f():\n    raise ValueError('x')\nf()\n")
    with pytest.raises(ConfigFileError) as caught:
        load(start)
    assert caught.value.traceback_text.count("File ") == 2


# Refusals


@pytest.mark.parametrize(
    ("words", "text", "environ", "origin"),
    [
        (["--dirty-workers", "2"], "", {}, "the command line"),
        ([], "dirty_workers = 2\n", {}, "gunicorn.conf.py"),
        ([], "", {"GUNICORN_CMD_ARGS": "--dirty-workers 2"}, "GUNICORN_CMD_ARGS"),
        ([], "", {"OSTLER_DIRTY_WORKERS": "2"}, "OSTLER_DIRTY_WORKERS"),
    ],
)
def test_a_setting_that_is_not_built_is_refused_wherever_it_stands(start, words, text, environ, origin):
    write(start, text)
    message = failure(start, *words, kind=ConfigError, **environ)
    assert message.startswith("dirty_workers: ")
    assert message.endswith(f"not built yet in this version of Ostler (0.1.0); remove it (from {origin})")


def test_the_value_that_leaves_such_a_setting_off_is_accepted(start):
    write(start, "dirty_workers = 0\n")
    settings = load(start)
    assert settings.others["dirty_workers"] == 0
    assert settings.notices == ()


def test_a_setting_without_an_effect_gives_one_line(start):
    write(start, "worker_tmp_dir = '/dev/shm'\n")
    (notice,) = load(start).notices
    assert notice.startswith("worker_tmp_dir: has no effect: ")
    assert notice.endswith("(from gunicorn.conf.py)")


def test_the_name_of_another_file_has_no_place_in_a_file(start):
    write(start, "config = 'x.py'\n")
    assert "config: has no effect in a configuration file" in failure(start)


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("SYNC", 'got "SYNC" (from the command line); did you mean sync?'),
        ("gevnet", "did you mean gevent?"),
        ("meinheld", "no installed package has an entry point gunicorn.workers: meinheld"),
        ("pkg:Worker", "written MODULE.CLASS"),
        ("a-b.Worker", "written MODULE.CLASS"),
        ("egg:meinheld", "egg:DISTRIBUTION#NAME"),
    ],
)
def test_worker_classes_that_cannot_be_are_refused_with_those_that_can(start, word, part):
    message = failure(start, "-k", word, kind=ConfigError)
    expected = "worker_class: expected sync, gthread, gevent, eventlet, tornado, asgi or a worker class, got "
    assert message.startswith(expected)
    assert part in message


def test_a_class_of_the_configuration_file_is_a_worker_class_if_it_looks_like_one(start):
    write(start, "class Mine: ...\nworker_class = Mine\n")
    assert 'got "__config__.Mine" (from gunicorn.conf.py); derive it from' in failure(start)
    write(start, "class Mine:\n    def init_process(self): ...\nworker_class = Mine\nthreads = 3\n")
    settings = load(start)
    assert (settings.worker_class.__name__, settings.kind) == ("Mine", "")


# Values


def test_a_wrong_value_says_expected_found_and_origin(start):
    expected = 'workers: expected a positive integer, got "four" (from {})'
    assert failure(start, WEB_CONCURRENCY="four", kind=ConfigError) == expected.format("WEB_CONCURRENCY")
    write(start, "workers = 'four'\n")
    assert failure(start, kind=ConfigError) == expected.format("gunicorn.conf.py")
    write(start, "")
    assert failure(start, "-w", "four", kind=UsageError) == expected.format("the command line")
    assert failure(start, GUNICORN_CMD_ARGS="-w four", kind=UsageError) == expected.format("GUNICORN_CMD_ARGS")
    assert failure(start, "-w", "0", kind=ConfigError) == (
        'workers: expected a positive integer, got "0" (from the command line)'
    )


def test_a_wrong_port_is_told_as_such(start):
    expected = 'bind: expected a port number from 0 to 65535, got "http" (from PORT)'
    assert failure(start, PORT="http") == expected


def test_a_quote_left_open_in_a_variable_is_a_usage_error(start):
    assert failure(start, GUNICORN_CMD_ARGS="-w '4", kind=UsageError).startswith("GUNICORN_CMD_ARGS: expected words")


def test_addresses_are_repeated_listed_or_separated_by_commas(start):
    both = (TcpAddress("127.0.0.1", 1), UnixAddress(f"{start}/a.sock"))
    assert load(start, "-b", "127.0.0.1:1", "-b", "unix:a.sock").bind == both
    assert load(start, "-b", "127.0.0.1:1,unix:a.sock").bind == both
    write(start, "bind = ['127.0.0.1:1', 'unix:a.sock']\n")
    assert load(start).bind == both
    write(start, "bind = []\n")
    assert "expected at least one address" in failure(start)


def test_an_address_given_twice_is_refused_but_not_two_free_ports(start):
    assert failure(start, "-b", ":1", "-b", "0.0.0.0:1") == "bind: 0.0.0.0:1 is given twice (from the command line)"
    assert len(load(start, "-b", ":0,:0").bind) == 2


def test_sync_with_threads_is_gthread(start):
    settings = load(start, "--threads", "4")
    assert (settings.worker_class, settings.origin("worker_class")) == ("gthread", "threads > 1")
    assert load(start, "-k", "gthread").worker_class == "gthread"


def test_an_unset_keepalive_is_75_and_a_set_one_is_honoured(start):
    assert load(start).keepalive == 75
    assert load(start, "--keep-alive", "2").keepalive == 2
    assert load(start, "--keep-alive", "0").keepalive == 0


def test_limits_are_the_operators_but_the_number_of_fields_has_a_cap(start):
    words = ("--limit-request-line", "0", "--limit-request-field_size", "100000", "--limit-request-fields")
    settings = load(start, *words, "0")
    assert (settings.limit_request_line, settings.limit_request_field_size) == (0, 100000)
    assert settings.limit_request_fields == 32768
    assert load(start, *words, "99999").limit_request_fields == 32768


def test_relative_paths_start_at_chdir(start):
    (start / "site").mkdir()
    settings = load(start, "--chdir", "site", "--pythonpath", "lib,/opt", "-b", "unix:s", "--log-file", "e.log")
    assert settings.chdir == f"{start}/site"
    assert settings.pythonpath == (f"{start}/site/lib", "/opt")
    assert settings.bind == (UnixAddress(f"{start}/site/s"),)
    assert settings.errorlog == f"{start}/site/e.log"
    assert load(start, "--access-logfile", "-").accesslog == "-"


def test_a_directory_that_is_none_is_refused(start):
    (start / "file").touch()
    assert "nothing there (from the command line)" in failure(start, "--chdir", "missing")
    assert "a file (from the command line)" in failure(start, "--chdir", "file")


def test_a_symbolic_link_in_the_start_directory_stays_a_link(start):
    (start / "release").mkdir()
    (start / "current").symlink_to("release")
    os.chdir(start / "release")
    assert start_directory({"PWD": str(start / "current")}) == str(start / "current")
    assert start_directory({"PWD": "/"}) == str(start / "release")
    assert start_directory({"PWD": "relative"}) == str(start / "release")
    assert start_directory({}) == str(start / "release")


def test_a_start_directory_that_was_removed_is_told(start):
    gone = start / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="current directory cannot be used"):
        start_directory({})
    with pytest.raises(ConfigError, match="cannot enter the start directory"):
        load(gone)
    assert load(start).workers == 1


# Hooks


def test_hooks_are_functions_of_the_file(start):
    write(start, "def post_fork(server, worker): return 'forked'\nwhen_ready = lambda server: 'ready'\n")
    settings = load(start)
    assert settings.hooks.post_fork(1, 2) == "forked"
    assert settings.hooks.when_ready(1) == "ready"
    assert settings.hooks.pre_fork is None
    assert settings.origin("post_fork") == "gunicorn.conf.py"


def test_hooks_may_be_dotted_paths(start):
    write(start, "def ready(server): return 'ready'\n", "hooks_of_test.py")
    write(start, "when_ready = 'hooks_of_test.ready'\n")
    assert load(start).hooks.when_ready(1) == "ready"


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("3", "got 3"),
        ("None", "got None"),
        ("'ready'", "a hook as text is MODULE.NAME"),
        ("'no_such_module_of_test.f'", "importing no_such_module_of_test failed: ModuleNotFoundError"),
        ("'os.no_such_name'", "module os has no no_such_name"),
        ("lambda: 1", "with 0 parameters"),
        ("lambda server, more: 1", "with 2 parameters"),
        ("lambda *all: 1", "with 0 parameters"),
    ],
)
def test_what_is_no_such_hook_is_refused(start, value, part):
    write(start, f"when_ready = {value}\n")
    message = failure(start, kind=ConfigError)
    assert message.startswith("when_ready: expected a callable with 1 parameter (server), got")
    assert part in message
    assert "(from gunicorn.conf.py)" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lambda worker, req: [worker, req]", [1, 2]),
        ("lambda worker, req, environ: [worker, req, environ]", [1, 2, 3]),
        ("lambda worker, req, environ, resp: [worker, req, environ, resp]", [1, 2, 3, 4]),
    ],
)
def test_post_request_may_take_two_three_or_four(start, text, expected):
    write(start, f"post_request = {text}\n")
    assert load(start).hooks.post_request(1, 2, 3, 4) == expected


def test_post_request_with_another_number_is_refused(start):
    write(start, "def post_request(worker): ...\n")
    assert 'got "post_request with 1 parameter"' in failure(start)


# PasteDeploy files; what is in them is read in test_pastedeploy.py

INI = """
[app:main]
paste.app_factory = anywhere:make
[server:main]
use = egg:gunicorn#main
workers = 5
threads = 2
"""


def test_a_paste_file_stands_below_the_configuration_file(start):
    write(start, INI, "production.ini")
    write(start, "threads = 3\n")
    settings = load(start, "--paste", "production.ini", app=None, WEB_CONCURRENCY="2")
    assert (settings.workers, settings.origin("workers")) == (5, "production.ini")
    assert (settings.threads, settings.origin("threads")) == (3, "gunicorn.conf.py")
    assert settings.paste == f"{start}/production.ini"
    assert settings.proc_name == f"{start}/production.ini"


def test_a_paste_file_may_be_named_by_any_source(start):
    write(start, INI, "production.ini")
    assert load(start, app=None, OSTLER_PASTE="production.ini").workers == 5
    assert load(start, app=None, GUNICORN_CMD_ARGS="--paste production.ini").workers == 5
    write(start, "paste = 'production.ini'\nthreads = 3\n")
    settings = load(start, app=None)
    assert (settings.workers, settings.threads) == (5, 3)


def test_a_paste_file_may_name_the_configuration_file_unless_that_names_it(start):
    write(start, INI + "config = %(here)s/named.py\n", "production.ini")
    write(start, "threads = 7\n", "named.py")
    settings = load(start, "--paste", "production.ini", app=None)
    assert (settings.threads, settings.config) == (7, f"{start}/named.py")
    write(start, "threads = 8\n", "other.py")
    assert load(start, "--paste", "production.ini", "-c", "other.py", app=None).threads == 8
    write(start, "paste = 'production.ini'\n")
    assert "config: has no effect in production.ini" in failure(start, app=None)


def test_variables_of_a_paste_file_may_stand_in_the_configuration_file(start):
    write(start, INI.replace("workers = 5", "workers = %(count)s"), "production.ini")
    write(start, "raw_paste_global_conf = ['count=6']\n")
    assert load(start, "--paste", "production.ini", app=None).workers == 6


def test_an_application_beside_paste_is_not_used_and_that_is_told(start):
    write(start, INI, "production.ini")
    (notice,) = load(start, "--paste", "production.ini").notices
    assert notice.startswith('wsgi_app: "app:app" is not used')


def test_paste_without_its_package_says_what_to_install(start, monkeypatch):
    write(start, INI, "production.ini")
    for name in [name for name in sys.modules if name.partition(".")[0] == "paste"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(start)])
    sys.path_importer_cache.clear()
    assert failure(start, "--paste", "production.ini", app=None, kind=ConfigError) == (
        "paste: expected the package PasteDeploy, found none; pip install ostler[paste]"
    )


def test_the_section_that_starts_us_wins_over_every_other_source(start):
    write(start, "workers = 3\nthreads = 3\ndefault_proc_name = 'mine'\n")
    write(start, "[loggers]\nkeys = root\n", "production.ini")
    file = str(start / "production.ini")
    section = ServerSection(file, {"workers": "5", "Host": "127.0.0.1", "port": "81"}, "loaded:app")
    settings = load_settings([], {"OSTLER_WORKERS": "4"}, str(start), section)
    assert (settings.workers, settings.origin("workers"), settings.threads) == (5, file, 3)
    assert settings.bind == (TcpAddress("127.0.0.1", 81),)
    assert (settings.wsgi_app, settings.logconfig, settings.default_proc_name) == ("loaded:app", file, "mine")
    with pytest.raises(ConfigError, match=r"worker: expected a setting, .*did you mean workers"):
        load_settings([], {}, str(start), ServerSection(file, {"worker": "5"}, "loaded:app"))


def test_the_section_that_starts_us_may_name_the_configuration_file(start):
    write(start, "", "production.ini")
    write(start, "workers = 9\n", "other.py")
    section = ServerSection(str(start / "production.ini"), {"config": "other.py"}, "loaded:app")
    settings = load_settings([], {}, str(start), section)
    assert (settings.workers, settings.config) == (9, "other.py")
    assert settings.proc_name == str(start / "production.ini")


def test_a_command_for_a_server_that_runs_needs_no_application(start):
    write(start, "pidfile = 'server.pid'\n")
    assert load_settings((), {}, str(start), to_serve=False).pidfile == f"{start}/server.pid"
    write(start, "wsgi_app = 'shop:app'\n")
    assert load_settings((), {}, str(start), to_serve=False).wsgi_app == "shop:app"
    write(start, "")
    with pytest.raises(ConfigError, match="no application given"):
        load_settings((), {}, str(start))
