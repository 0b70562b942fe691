import textwrap

import pytest

from ostler.config.nearmiss import NearMiss, closest, meant_setting, near_misses
from ostler.config.sections import ENTRIES

NAMES = [entry.name for entry in ENTRIES]


def judged(text):
    """The near misses of a file as {name: meant}."""
    source = textwrap.dedent(text)
    names: dict[str, object] = {}
    exec(source, names)
    return {miss.name: miss.meant for miss in near_misses(source.encode(), names)}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("worker", "workers"),
        ("thread", "threads"),
        ("binds", "bind"),
        ("bind_", "bind"),
        ("timeouts", "timeout"),
        ("time_out", "timeout"),
        ("max_request", "max_requests"),
        ("keep_alive", "keepalive"),
        ("log_level", "loglevel"),
        ("loglevl", "loglevel"),
        ("loglevle", "loglevel"),
        ("access_log", "accesslog"),
        ("accesslogs", "accesslog"),
        ("access_logfile", "accesslog"),
        ("access-logfile", "accesslog"),
        ("error_log", "errorlog"),
        ("log_file", "errorlog"),
        ("preload", "preload_app"),
        ("pid_file", "pidfile"),
        ("Workers", "workers"),
        ("WORKER", "workers"),
        ("post_forks", "post_fork"),
        ("graceful_timout", "graceful_timeout"),
    ],
)
def test_a_name_that_is_nearly_a_setting_is_recognised(name, meant):
    assert meant_setting(name) == meant


@pytest.mark.parametrize(
    "name",
    [
        *("worker_count", "workers_per_core", "max_workers", "cores", "cpu_count", "num_threads", "web_concurrency"),
        *("app", "os", "port", "host", "env", "pid", "name", "logger", "spec", "path", "here", "root", "debug", "x"),
        *("statsd_port", "server_name", "log_dir", "log_format", "base_dir", "redis_url", "use_reload", "config_path"),
    ],
)
def test_other_names_are_left_alone(name):
    assert meant_setting(name) is None


def test_every_setting_is_recognised_without_underscores_and_by_its_flag():
    for entry in ENTRIES:
        if entry.in_files:
            assert meant_setting(entry.name.replace("_", "").upper()) == entry.name
            for flag in entry.flags:
                if flag.startswith("--") and flag not in ("--env", "--pid", "--name"):
                    assert meant_setting(flag) == entry.name


def test_the_line_is_that_of_the_first_assignment():
    source = b"import os\nworker = 1\nif os:\n    worker = 2\n"
    assert near_misses(source, {"worker": 2}) == [NearMiss("worker", "workers", 2)]


def test_names_are_judged_wherever_the_file_itself_assigns_them():
    assert judged("""
        if True:
            worker = 1
        try:
            thread: int = 2
        except ValueError:
            timeouts = 3
        with open("/dev/null"):
            (keep_alive, [log_level]) = 5, ["info"]
        """) == {"worker": "workers", "thread": "threads", "keep_alive": "keepalive", "log_level": "loglevel"}


def test_what_the_file_uses_itself_imports_or_defines_is_its_own():
    assert judged("""
        import logging as logger_clas
        from os import getpid as pid_file, sep as worker
        from threading import *
        THREAD = 2
        _thread = 2
        log_level = "info"
        loglevel = log_level.lower()
        timeouts = 3
        def report(): print(timeouts)
        def binds(): worker_clas = 3
        class Workers: thread = 1
        access_log = lambda: 1
        keep_alive = Workers
        for work_ers in range(3): pass
        max_request = [max_request for max_request in range(3)]
        del max_request
        """) == {}


def test_text_that_cannot_be_parsed_has_no_near_misses():
    assert near_misses(b"\x00\x01", {"worker": 1}) == []
    assert near_misses(b"", {"worker": 1}) == []


@pytest.mark.parametrize(
    ("name", "choice"),
    [("worker", "workers"), ("--max-request", "max_requests"), ("gracefull_timeoutt", "graceful_timeout")],
)
def test_where_a_name_is_wrong_anyway_the_closest_is_told(name, choice):
    assert closest(name, NAMES) == choice


def test_where_nothing_looks_alike_nothing_is_told():
    assert closest("database_url", NAMES) is None
    assert closest("worker", ["bind"]) is None
