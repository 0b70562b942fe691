"""roles/growth.py and process/allocations.py: what the memory of a worker has grown by."""

import tracemalloc

import pytest

from ostler.observe.causes import Cause, cure_for
from ostler.observe.scoreboard import Scoreboard
from ostler.process import allocations
from ostler.roles.growth import Growth

MB = 1 << 20


class Life:
    """A worker that is ready at second 100, and what it serves."""

    def __init__(self):
        self.page = Scoreboard(1, 2).page(0)
        self.growth = Growth(self.page, 100.0)

    def serve(self, what, at, took_s, row=0):
        self.page.begin_request(row, at, what)
        self.page.end_request(row, took_s, 200)


def test_growth_is_charged_to_what_took_the_time():
    life = Life()
    life.growth.note(50 * MB, 101.0)
    for second in range(101, 105):
        life.serve(f"GET /leak?session={second}", second + 0.1, 0.5)
        life.serve("GET /health", second + 0.7, 0.001)
        life.growth.note((second - 90) * 10 * MB, second + 1.0)
    expected = ' grew_mb=90 mostly_in="GET /leak" cause="memory that is kept" cure="'
    assert life.growth.words() == f'{expected}{cure_for(Cause.LEAK)}"'


def test_a_request_that_still_runs_counts():
    life = Life()
    life.growth.note(50 * MB, 101.0)
    life.page.begin_request(1, 101.0, "POST /upload")
    life.growth.note(80 * MB, 102.0)
    assert 'grew_mb=30 mostly_in="POST /upload"' in life.growth.words()


def test_memory_that_shrinks_or_trembles_is_charged_to_nobody():
    life = Life()
    life.growth.note(50 * MB, 101.0)
    life.serve("GET /", 101.5, 0.1)
    life.growth.note(50 * MB + 1000, 102.0)
    life.growth.note(40 * MB, 103.0)
    assert life.growth.words() == ""


def test_nothing_is_said_of_what_was_never_measured():
    assert Life().growth.words() == ""


def test_clients_that_make_up_paths_cost_bounded_memory():
    life = Life()
    life.growth.note(0, 101.0)
    for second in range(300):
        life.serve(f"GET /{second}", 101.0 + second, 0.1)
        life.growth.note((second + 1) * MB, 102.0 + second)
    assert len(life.growth._charged) == 200


@pytest.fixture
def traced():
    allocations.start()
    yield
    tracemalloc.stop()


def keep(count):
    return bytearray(count)


def test_tracing_names_the_line_that_allocated_what_stays(traced):
    life = Life()
    life.growth.note(50 * MB, 101.0)
    kept = [keep(MB) for _ in range(4)]
    life.growth.note(55 * MB, 102.0)
    line = keep.__code__.co_firstlineno + 1
    words = life.growth.words()
    assert f"test_growth.py:{line} at_mb=4 " in words
    assert "bound what is kept of what this line makes" in words
    assert not allocations.tracing()
    assert len(kept) == 4


def test_tracing_begins_half_of_the_way_to_the_limit():
    growth = Growth(Scoreboard(1, 2).page(0), 100.0, trace_below=100 * MB)
    growth.note(20 * MB, 101.0)
    growth.note(60 * MB, 102.0)
    assert not allocations.tracing()
    growth.note(61 * MB, 103.0)
    assert allocations.tracing()
    kept = keep(MB)
    growth.note(101 * MB, 104.0)
    assert " at_mb=1 " in growth.words()
    assert not allocations.tracing()
    assert len(kept) == MB


def test_without_being_asked_nothing_is_traced():
    growth = Growth(Scoreboard(1, 2).page(0), 100.0)
    growth.note(20 * MB, 101.0)
    growth.note(1000 * MB, 102.0)
    assert not allocations.tracing()
    assert "set trace_memory = True" in growth.words()


def test_what_a_library_allocates_is_charged_to_its_caller(traced):
    before = allocations.bytes_by_line(lambda file: file == __file__, goes_on=True)
    kept = "".join(str(number) for number in range(20_000)).encode("utf-16")  # the codec is called by this line
    after = allocations.bytes_by_line(lambda file: file == __file__)
    here = test_what_a_library_allocates_is_charged_to_its_caller.__code__.co_firstlineno + 2
    assert (after - before)[__file__, here] >= len(kept)


def test_growth_that_python_does_not_know_of_is_said_to_be_of_c(traced):
    life = Life()
    life.growth.note(50 * MB, 101.0)
    life.growth.note(90 * MB, 102.0)
    assert "look for a C library that keeps memory" in life.growth.words()
