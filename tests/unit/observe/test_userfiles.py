"""observe/userfiles.py"""

import logging
import logging.handlers
import os

import pytest

from ostler.observe.userfiles import all_handlers, reopen_file_handlers
from tests.unit.observe.process_logs import process_logs


@pytest.fixture
def log():
    """gunicorn.error, with what it is told in `log.lines`."""
    with process_logs():
        log = logging.getLogger("gunicorn.error")
        log.lines = []

        class Handler(logging.Handler):
            def emit(self, record):
                log.lines.append(record.getMessage())

        log.addHandler(Handler())
        yield log


def test_file_handlers_are_opened_by_their_names_again(log, tmp_path):
    handler = logging.FileHandler(tmp_path / "app")
    behind = logging.FileHandler(tmp_path / "behind")
    logging.getLogger("some.app").addHandler(handler)
    logging.getLogger("some.app").addHandler(logging.handlers.MemoryHandler(10, target=behind))
    for name in ("app", "behind"):
        os.rename(tmp_path / name, tmp_path / f"{name}.1")
    former = handler.stream
    reopen_file_handlers(log)
    assert (tmp_path / "app").exists()
    assert (tmp_path / "behind").exists()
    assert former.closed
    behind.close()


def test_a_file_that_cannot_be_opened_is_kept_and_told(log, tmp_path):
    handler = logging.FileHandler(tmp_path / "app")
    logging.getLogger("some.app").addHandler(handler)
    os.rename(tmp_path / "app", tmp_path / "app.1")
    (tmp_path / "app").mkdir()
    reopen_file_handlers(log)
    logging.getLogger("some.app").error("kept")
    assert (tmp_path / "app.1").read_text() == "kept\n"
    reason = 'error="is a directory"'
    assert log.lines == [f"log file not reopened, the former one is kept file={tmp_path}/app {reason}"]


def test_a_file_that_was_never_opened_is_left_alone(log, tmp_path):
    logging.getLogger("some.app").addHandler(logging.FileHandler(tmp_path / "app", delay=True))
    reopen_file_handlers(log)
    assert not (tmp_path / "app").exists()


def test_a_handler_on_two_loggers_comes_once(log):
    handler = logging.NullHandler()
    for name in ("one.app", "other.app"):
        logging.getLogger(name).addHandler(handler)
    assert [each for each in all_handlers() if each is handler] == [handler]
