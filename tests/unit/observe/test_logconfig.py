"""observe/logconfig.py"""

import json
import logging
import os
import select

import pytest

from ostler.errors import ConfigError
from ostler.lifecycle import RequestFinished
from ostler.observe.logconfig import LogConfig, defaults
from tests.unit.observe.process_logs import process_logs


@pytest.fixture
def make_logs():
    with process_logs() as desk:
        yield desk


INI = """
[loggers]
keys=root, gunicorn.error, gunicorn.access

[handlers]
keys=console, file

[formatters]
keys=plain

[logger_root]
level=WARNING
handlers=console

[logger_gunicorn.error]
level=DEBUG
handlers=file
propagate=0
qualname=gunicorn.error

[logger_gunicorn.access]
level=INFO
handlers=file
propagate=0
qualname=gunicorn.access

[handler_console]
class=StreamHandler
formatter=plain
args=(sys.stdout, )

[handler_file]
class=logging.FileHandler
formatter=plain
args=('%(here)s/all.log', 'a')

[formatter_plain]
format=%(name)s:%(message)s
"""


def request():
    return RequestFinished(
        environ={"PATH_INFO": "/a", "REMOTE_ADDR": "192.0.2.7"}, request_fields=[("x-request-id", "7f")],
        status="200 OK", response_fields=[], sent=5, duration_s=0.25, method="GET", target="/a", protocol="HTTP/1.1",
    )  # fmt: skip


def test_an_ini_file_sets_logging_up_beside_itself(make_logs, tmp_path):
    folder = tmp_path / "100%s"
    folder.mkdir()
    (folder / "log.ini").write_text(INI)
    logs = make_logs(logconfig=LogConfig.of(str(folder / "log.ini"), {}, None), access_format="%(U)s")
    logs.error.debug("seen")
    logs.access_observer().request_finished(request())
    assert (folder / "all.log").read_text() == "gunicorn.error:seen\ngunicorn.access:/a\n"


def test_existing_loggers_are_not_disabled(make_logs, tmp_path):
    (tmp_path / "log.ini").write_text(INI)
    logging.getLogger("an.application")
    make_logs(logconfig=LogConfig.of(str(tmp_path / "log.ini"), {}, None))
    assert not logging.getLogger("an.application").disabled


class JsonLines(logging.Formatter):
    """As people write them for Gunicorn."""

    def format(self, record):
        args = record.args
        return json.dumps({"method": args["m"], "path": args["U"], "ms": args["M"], "id": args["{X-Request-Id}i"]})


def test_a_dict_replaces_the_top_level_keys_of_the_defaults(make_logs, capfd):
    mapping = {
        "formatters": {"generic": {"()": JsonLines}},
        "root": {"level": "ERROR"},
        "loggers": {"gunicorn.access": {"handlers": ["console"], "level": "INFO", "propagate": False}},
    }
    logs = make_logs(logconfig=LogConfig.of(None, mapping, None))
    logs.access_observer().request_finished(request())
    assert json.loads(capfd.readouterr().out) == {"method": "GET", "path": "/a", "ms": 250, "id": "7f"}
    assert len(logs.error.handlers) == 1  # the dict says nothing of it: ours stays


def test_a_json_file_is_laid_over_the_defaults_too(make_logs, tmp_path, capfd):
    (tmp_path / "log.json").write_text('{"root": {"level": "ERROR"}}')
    logs = make_logs(logconfig=LogConfig.of(None, {}, str(tmp_path / "log.json")))
    logs.error.info("said")
    out, err = capfd.readouterr()
    assert err.endswith("[INFO] said\n")
    assert out == ""


def test_the_dict_counts_before_json_and_that_before_ini(tmp_path):
    (tmp_path / "x").write_text("{}")
    path = str(tmp_path / "x")
    assert LogConfig.of(path, {"version": 1}, path).setting == "logconfig_dict"
    assert LogConfig.of(path, {}, path).setting == "logconfig_json"
    assert LogConfig.of(path, {}, None).setting == "logconfig"
    assert LogConfig.of(None, {}, None) is None


def test_a_file_with_other_contents_is_another_configuration(tmp_path):
    path = tmp_path / "log.ini"
    path.write_text(INI)
    first = LogConfig.of(str(path), {}, None)
    assert first == LogConfig.of(str(path), {}, None)
    path.write_text(INI + "\n")
    assert first != LogConfig.of(str(path), {}, None)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("log.ini", None, r"logconfig: cannot read .*log\.ini: no such file or directory"),
        ("log.ini", "[loggers]\nkeys=root", r"logconfig: cannot set up logging .*log\.ini: KeyError"),
        ("log.ini", "nonsense", r"logconfig: cannot set up logging .*log\.ini: "),
        ("log.json", None, r"logconfig_json: cannot read .*log\.json: no such file or directory"),
        ("log.json", "{", r"logconfig_json: cannot set up logging .*log\.json: JSONDecodeError"),
        ("log.json", "[]", r"logconfig_json: .* TypeError: expected a JSON object, got list"),
        ("log.json", b"\xff", r"logconfig_json: expected UTF-8 text in .*log\.json"),
        ("log.json", '{"handlers": {"x": {"class": "no.Such"}}}', r"'x' \(.*No module named 'no'\)"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_clear_line(make_logs, tmp_path, name, text, expected):
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    ini, json_path = (str(path), None) if name == "log.ini" else (None, str(path))
    with pytest.raises(ConfigError, match=expected) as caught:
        make_logs(logconfig=LogConfig.of(ini, {}, json_path))
    assert "\n" not in str(caught.value)


def test_a_configuration_that_fails_half_way_leaves_every_logger_as_it_was(make_logs, tmp_path):
    application = logging.getLogger("half.way")
    application.setLevel(logging.CRITICAL)
    handlers = logging.root.handlers[:]
    mapping = {
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(tmp_path / "f")}},
        "loggers": {
            "half.way": {"level": "DEBUG", "handlers": ["file"]},
            "half.way.new": {"handlers": ["file"]},
            "then": {"level": "NONSENSE"},
        },
    }
    with pytest.raises(ConfigError):
        LogConfig.of(None, mapping, None).apply()
    assert (application.level, application.handlers) == (logging.CRITICAL, [])
    assert logging.getLogger("half.way.new").handlers == []
    assert logging.root.handlers == handlers


def test_a_console_that_nobody_reads_does_not_stop_a_configured_logger(make_logs, capfd):
    reader, writer = os.pipe()
    with capfd.disabled():
        saved = os.dup(1)
        os.dup2(writer, 1)
        try:
            logs = make_logs(errorlog="/dev/null", logconfig=LogConfig.of(None, {"root": {"level": "ERROR"}}, None))
            logs.standard(1).console = -1  # what is lost when this ends is none of the tester's business
            observer = logs.access_observer()
            for _ in range(5000):  # 64 KiB are full after a few hundred
                observer.request_finished(request())
            assert select.select([reader], [], [], 0)[0]
        finally:
            os.dup2(saved, 1)
            for fd in (saved, reader, writer):
                os.close(fd)


def test_the_defaults_are_new_each_time():
    defaults()["root"]["level"] = "CRITICAL"
    assert defaults()["root"]["level"] == "INFO"
    assert set(defaults()["loggers"]) == {"gunicorn.error", "gunicorn.access"}
