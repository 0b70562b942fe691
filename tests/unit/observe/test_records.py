"""observe/records.py"""

import json
import logging
import os
import re
import sys
import time

from ostler.observe.records import JsonFormatter, Moment, error_formatter, error_stream_line, loss_line, moment

MOMENT = 1_795_256_838.757


def record(message, *args, **extra):
    made = logging.LogRecord("gunicorn.error", logging.WARNING, "file.py", 7, message, args, None)
    made.__dict__.update({"created": MOMENT} | extra)
    return made


def told(*args, **extra):
    text = JsonFormatter().format(record(*args, **extra))
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_one_object():
    local = time.localtime(MOMENT)
    zone = time.strftime("%z", local)
    assert told("worker ready slot=%d", 0) == {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S.757", local) + f"{zone[:3]}:{zone[3:]}",
        "level": "WARNING",
        "logger": "gunicorn.error",
        "pid": os.getpid(),
        "message": "worker ready slot=0",
    }


def test_extra_fields_that_are_json_are_included_and_cannot_hide_ours():
    extra = {"user": "ada", "tags": ["a"], "depth": {"a": 1}, "nothing": None, "level": "mine"}
    found = told("m", what=object(), nan=float("nan"), **extra)
    assert {name: found[name] for name in ("user", "tags", "depth", "nothing", "level")} == {
        "user": "ada", "tags": ["a"], "depth": {"a": 1}, "nothing": None, "level": "WARNING",
    }  # fmt: skip
    assert "what" not in found
    assert "nan" not in found


def test_a_traceback_and_a_stack_stay_on_the_line():
    try:
        raise KeyError("k")
    except KeyError:
        found = told("failed", exc_info=sys.exc_info(), stack_info="Stack:\n  here")
    assert found["message"] == "failed"
    assert found["exc"].startswith("Traceback (most recent call last):\n")
    assert found["exc"].endswith("KeyError: 'k'")
    assert found["stack"] == "Stack:\n  here"


def test_no_text_can_end_the_line():
    for text in ("a\nb", "\u2028", "\x85", "\udcff", '"\\'):
        assert told("%s", text)["message"] == text
        assert "\n" not in error_stream_line(text)
        assert json.loads(error_stream_line(text))["message"] == text


def test_raw_lines_and_losses_are_objects_too():
    raw, loss = json.loads(error_stream_line("printed")), json.loads(loss_line(5))
    assert (raw["logger"], raw["level"], raw["pid"], raw["message"]) == ("wsgi.errors", "ERROR", os.getpid(), "printed")
    assert (loss["logger"], loss["message"]) == ("gunicorn.error", "log lines dropped here lines=5")
    assert raw.keys() == loss.keys() == {"time", "level", "logger", "pid", "message"}


def test_text_is_gunicorns():
    line = error_formatter(as_json=False).format(record("hello"))
    pattern = rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{os.getpid()}\] \[WARNING\] hello"
    assert re.fullmatch(pattern, line)


def test_the_moment_follows_its_clock():
    now = [MOMENT]
    found = Moment(lambda: now[0])
    for when in (MOMENT, MOMENT + 0.1, MOMENT + 61, MOMENT):
        now[0] = when
        assert found.text() == moment(when)
