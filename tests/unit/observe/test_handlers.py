"""observe/handlers.py"""

import io
import json
import logging

import pytest

from ostler.observe.handlers import MESSAGE, LoggerState, SinkHandler, SinkStream, StraightWay


class Lines(list):
    write = list.append


@pytest.fixture
def logger():
    """As the access logger of a server: one handler on `logger.lines`."""
    logger = logging.Logger("gunicorn.access", logging.INFO)
    logger.manager = logging.Manager(logging.root)
    logger.propagate = False
    logger.lines = Lines()
    logger.addHandler(SinkHandler(logger.lines, logging.Formatter(MESSAGE)))
    return logger


@pytest.fixture
def way(logger):
    found = StraightWay(logger)
    found.settle()
    return found


def test_a_stream_handler_on_a_sink_stream_makes_one_write_of_each_record():
    lines = Lines()
    handler = logging.StreamHandler(SinkStream(lines))
    for message in ("one", "two\nlines", "three\n"):
        handler.emit(logging.LogRecord("n", logging.INFO, "", 0, message, None, None))
    assert lines == ["one", "two\nlines", "three\n"]


def test_a_sink_stream_waits_for_the_end_of_a_line_or_a_flush():
    lines = Lines()
    stream = SinkStream(lines)
    print("a", "b", file=stream)
    stream.write("c\nd")
    assert lines == ["a b", "c"]
    stream.flush()
    stream.close()
    assert lines == ["a b", "c", "d"]
    assert stream.writable()


def test_a_sink_stream_is_a_terminal_if_what_it_stands_for_is_one():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

        def fileno(self):
            return 7

    assert SinkStream(Lines(), Terminal()).isatty()
    assert SinkStream(Lines(), Terminal()).fileno() == 7
    assert not SinkStream(Lines()).isatty()


def test_a_formatter_that_raises_is_named_in_a_line_of_our_own():
    class Broken(logging.Formatter):
        def format(self, record):
            raise ZeroDivisionError("oops")

    lines = Lines()
    SinkHandler(lines, Broken()).handle(logging.LogRecord("n", logging.INFO, "app.py", 7, "m", None, None))
    assert 'log call is broken at=app.py:7 error="ZeroDivisionError: oops"' in lines[0]


def test_a_handler_that_was_given_another_stream_writes_there():
    lines, text = Lines(), io.StringIO()
    handler = SinkHandler(lines, logging.Formatter(MESSAGE))
    assert isinstance(handler, logging.StreamHandler)
    assert handler._gunicorn
    handler.setStream(text)
    handler.handle(logging.LogRecord("n", logging.INFO, "", 0, "m", None, None))
    assert (lines, text.getvalue()) == ([], "m\n")


def test_lines_go_straight_while_the_logger_is_as_it_was_made(way, logger):
    (write,) = way.straight()
    write("line")
    assert logger.lines == ["line"]


class JsonLines(logging.Formatter):
    def format(self, record):
        return json.dumps(record.args)


def change_factory():
    class Record(logging.LogRecord):
        pass

    logging.setLogRecordFactory(Record)


@pytest.mark.parametrize(
    "change",
    [
        lambda logger: logger.addFilter(lambda record: True),
        lambda logger: logger.addHandler(logging.NullHandler()),
        lambda logger: logger.handlers.clear(),
        lambda logger: logger.setLevel(logging.WARNING),
        lambda logger: setattr(logger, "propagate", True),
        lambda logger: setattr(logger, "disabled", True),
        lambda logger: setattr(logger.manager, "disable", logging.INFO),
        lambda logger: logger.handlers[0].addFilter(lambda record: True),
        lambda logger: logger.handlers[0].setFormatter(JsonLines()),
        lambda logger: logger.handlers[0].setLevel(logging.INFO),
        lambda logger: logger.handlers[0].setStream(io.StringIO()),
        lambda logger: change_factory(),
    ],
)
@pytest.mark.parametrize("handlers", [1, 2])
def test_any_change_of_the_logger_closes_the_straight_way_at_once(logger, change, handlers):
    for _ in range(handlers - 1):
        logger.addHandler(SinkHandler(Lines(), logging.Formatter(MESSAGE)))
    way = StraightWay(logger)
    way.settle()
    assert len(way.straight()) == handlers
    factory = logging.getLogRecordFactory()
    try:
        change(logger)
        logger._cache.clear()
        assert way.straight() is None
    finally:
        logging.setLogRecordFactory(factory)


def test_a_way_that_was_closed_opens_again(way, logger):
    def no(record):
        return False

    logger.addFilter(no)
    assert way.straight() is None
    logger.removeFilter(no)
    assert way.straight() is not None


@pytest.mark.parametrize(
    "handler",
    [logging.NullHandler(), SinkHandler(Lines(), logging.Formatter("%(asctime)s %(message)s")), None],
)
def test_there_is_no_straight_way_through_what_is_not_ours(logger, handler):
    logger.handlers = [] if handler is None else [*logger.handlers, handler]
    way = StraightWay(logger)
    way.settle()
    assert way.straight() is None


def test_the_state_of_a_logger_can_be_restored(logger):
    state = LoggerState.of(logger)
    handlers = logger.handlers[:]
    logger.addFilter(lambda record: False)
    logger.handlers.clear()
    logger.setLevel(logging.ERROR)
    logger.propagate = logger.disabled = True
    state.restore()
    assert (logger.handlers, logger.filters, logger.level, logger.propagate, logger.disabled) == (
        handlers, [], logging.INFO, False, False,
    )  # fmt: skip
