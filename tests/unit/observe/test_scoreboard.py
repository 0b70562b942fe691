"""observe/scoreboard.py"""

import mmap

import pytest

from ostler.observe.scoreboard import Page, Scoreboard, WorkerState
from ostler.supervisor.events import Work


def test_a_new_page_is_free_and_empty():
    page = Scoreboard(2, 3).page(1)
    assert page.state is WorkerState.FREE
    assert (page.pid, page.requests, page.last_beat, page.in_flight()) == (0, 0, 0.0, [])


def test_reset_begins_as_booting_with_nothing_of_the_former_process():
    page = Scoreboard(1, 2).page(0)
    page.count_request()
    page.begin_request(0, 3.0, "GET /former")
    page.end_request(0, 2.0, failed=True)
    page.begin_request(1, 3.0, "GET /former")
    page.reset(4242, 10.5)
    assert page.state is WorkerState.BOOTING
    assert page.work(0.0) == Work()
    assert (page.pid, page.requests, page.last_beat, page.in_flight()) == (4242, 0, 10.5, [])


def test_beats_and_states_are_seen_by_another_reader_of_the_page():
    board = Scoreboard(2, 1)
    board.page(1).beat(77.25)
    board.page(1).state = WorkerState.RETIRING
    assert board.page(1).last_beat == 77.25
    assert board.page(1).state is WorkerState.RETIRING
    assert board.page(0).last_beat == 0.0


def test_requests_in_flight_are_listed_longest_first():
    page = Scoreboard(1, 3).page(0)
    page.begin_request(0, 20.0, "GET /late")
    page.begin_request(2, 10.0, "POST /early")
    assert page.in_flight() == [(10.0, "POST /early"), (20.0, "GET /late")]
    page.end_request(2, 0.5, failed=False)
    assert page.in_flight() == [(20.0, "GET /late")]


def test_work_is_added_up_over_the_rows():
    board = Scoreboard(2, 3)
    page = board.page(0)
    for row, took_s, failed in [(0, 0.5, False), (2, 0.25, True), (2, 1.0, True), (1, 0.0, False)]:
        page.begin_request(row, 1.0, "GET /" + "x" * 300)
        page.end_request(row, took_s, failed)
        page.count_request()
    assert page.work(0.0) == Work(requests=4, errors=2, busy_s=1.75)
    assert board.page(1).work(0.0) == Work()
    page.forget_work()
    assert page.work(0.0) == Work()
    assert page.count_request() == 1


def test_a_shorter_request_leaves_nothing_of_a_longer_one_before_it():
    page = Scoreboard(1, 1).page(0)
    page.begin_request(0, 1.0, "GET /a/long/path")
    page.begin_request(0, 2.0, "GET /")
    assert page.in_flight() == [(2.0, "GET /")]


@pytest.mark.parametrize("what", ["GET /" + "x" * 195, "GET /" + "x" * 400])
def test_text_is_cut_to_200_bytes_and_stays_in_its_row(what):
    page = Scoreboard(1, 2).page(0)
    page.begin_request(1, 2.0, "GET /next")
    page.begin_request(0, 1.0, what)
    assert page.in_flight() == [(1.0, what[:200]), (2.0, "GET /next")]


def test_text_beyond_latin_1_does_not_raise():
    page = Scoreboard(1, 1).page(0)
    page.begin_request(0, 1.0, "GET /é/€")
    assert page.in_flight() == [(1.0, "GET /é/?")]


def test_pages_do_not_share_memory():
    board = Scoreboard(70, 2)  # more than one line of state bytes
    for index in range(70):
        page = board.page(index)
        page.reset(index + 1, float(index))
        page.begin_request(1, 5.0, f"GET /{index}" + "x" * 300)
    for index in range(70):
        page = board.page(index)
        assert (page.pid, page.last_beat) == (index + 1, float(index))
        assert page.in_flight()[0][1].startswith(f"GET /{index}x")


def test_requests_are_counted():
    page = Scoreboard(1, 1).page(0)
    assert [page.count_request(), page.count_request()] == [1, 2]
    assert page.requests == 2


def test_garbage_in_a_page_is_read_without_an_exception():
    memory = mmap.mmap(-1, 64 + 64 + 2 * 256)
    memory[:] = b"\xff" * len(memory)
    page = Page(memory, 0, 64, 2)
    assert page.state is WorkerState.FREE
    assert isinstance(page.last_beat, float)
    assert isinstance(page.in_flight(), list)


@pytest.mark.parametrize(
    ("idle", "besides", "expected"),
    [([], 0, False), ([0], 0, False), ([0], 1, True), ([0, 2], 0, True), ([1, 2], 2, True), ([2], 2, False)],
)
def test_idle_workers_looks_at_all_pages_but_one(idle, besides, expected):
    board = Scoreboard(3, 1)
    for index in range(3):
        board.page(index).state = WorkerState.IDLE if index in idle else WorkerState.BUSY
    assert board.idle_workers(besides) is expected
