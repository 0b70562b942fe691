"""observe/scoreboard.py"""

import mmap
import os
import signal
import threading

import pytest

from ostler.observe.scoreboard import Finished, Page, Scoreboard, WorkerState, page_bytes
from ostler.supervisor.events import Work


def test_a_new_page_is_free_and_empty():
    page = Scoreboard(2, 3).page(1)
    assert page.state is WorkerState.FREE
    assert (page.pid, page.requests, page.last_beat, page.in_flight()) == (0, 0, 0.0, [])


def test_reset_begins_as_booting_with_nothing_of_the_former_process():
    page = Scoreboard(1, 2).page(0)
    page.count_request()
    page.begin_request(0, 3.0, "GET /former")
    page.end_request(0, 2.0, 500)
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
    page.end_request(2, 0.5, 200)
    assert page.in_flight() == [(20.0, "GET /late")]


def test_work_is_added_up_over_the_rows():
    board = Scoreboard(2, 3)
    page = board.page(0)
    for row, took_s, status in [(0, 0.5, 200), (2, 0.25, 500), (2, 1.0, 599), (1, 0.0, 499)]:
        page.begin_request(row, 1.0, "GET /" + "x" * 300)
        page.end_request(row, took_s, status)
        page.count_request()
    assert page.work(0.0) == Work(requests=4, errors=2, busy_s=1.75)
    assert board.page(1).work(0.0) == Work()
    page.forget_work()
    assert page.work(0.0) == Work()
    assert page.count_request() == 1


def test_a_shorter_request_leaves_nothing_of_a_longer_one_before_it():
    page = Scoreboard(1, 1).page(0)
    page.begin_request(0, 1.0, "GET /a/long/path")
    page.end_request(0, 0.5, 200)
    for _ in range(8):
        page.begin_request(0, 2.0, "GET /")
        page.end_request(0, 0.5, 200)
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


def serve(page, row, started, took_s, status, what):
    page.begin_request(row, started, what)
    page.end_request(row, took_s, status)


def test_what_is_over_is_recent_newest_first():
    page = Scoreboard(2, 2).page(1)
    serve(page, 0, 1.0, 9.0, 200, "GET /slow")
    serve(page, 1, 2.0, 0.5, 404, "GET /fast")
    page.begin_request(1, 12.0, "GET /now")
    assert page.recent() == [Finished(1.0, 9.0, 200, "GET /slow"), Finished(2.0, 0.5, 404, "GET /fast")]
    assert page.in_flight() == [(12.0, "GET /now")]
    assert page.work(14.0).longest_s == 2.0


@pytest.mark.parametrize(("rows", "depth"), [(1, 8), (16, 8), (17, 7), (32, 4), (1000, 4)])
def test_each_row_keeps_its_last_requests(rows, depth):
    page = Scoreboard(1, rows).page(0)
    for number in range(20):
        serve(page, rows - 1, float(number + 1), 0.0, 200, f"GET /{number}")
    assert [each.what for each in page.recent()] == [f"GET /{number}" for number in range(19, 19 - depth, -1)]
    page.begin_request(rows - 1, 30.0, "GET /now")
    assert len(page.recent()) == depth - 1, "what is served takes the place of the oldest"


def test_the_slowest_of_each_row_outlives_its_ring():
    page = Scoreboard(1, 2).page(0)
    page.tick(1000.0)
    serve(page, 0, 1.0, 5.0, 503, "GET /slow")
    serve(page, 1, 1.0, 7.0, 200, "GET /slower")
    for number in range(20):
        serve(page, 0, 10.0, number / 10, 200, "GET /fast")
    assert page.slowest() == [Finished(1.0, 7.0, 200, "GET /slower"), Finished(1.0, 5.0, 503, "GET /slow")]


def test_what_was_slow_is_forgotten_after_some_minutes_in_which_others_came():
    page = Scoreboard(1, 1).page(0)
    page.tick(1000.0)
    serve(page, 0, 1.0, 60.0, 200, "GET /old")
    page.tick(1299.0)
    serve(page, 0, 2.0, 1.0, 200, "GET /fast")
    assert [each.what for each in page.slowest()] == ["GET /old"]
    page.tick(1301.0)
    serve(page, 0, 3.0, 2.0, 200, "GET /young")
    assert [each.what for each in page.slowest()] == ["GET /old", "GET /young"], "it is remembered as long again"
    page.tick(1602.0)
    serve(page, 0, 4.0, 0.5, 200, "GET /now")
    assert [each.what for each in page.slowest()] == ["GET /young", "GET /now"]


def test_requests_without_a_row_are_counted():
    page = Scoreboard(1, 1).page(0)
    for _ in range(3):
        page.begin_request(-1, 1.0, "GET /hidden")
    page.end_request(-1, 0.5, 500)
    assert page.unlisted == 2
    assert page.in_flight() == page.recent() == []
    assert page.work(2.0) == Work(requests=0, errors=1, busy_s=0.5)
    page.reset(1, 2.0)
    assert page.unlisted == 0


def test_a_page_that_is_given_to_another_process_says_nothing_of_the_former_one():
    page = Scoreboard(1, 2).page(0)
    serve(page, 0, 1.0, 5.0, 200, "GET /former")
    page.begin_request(1, 2.0, "GET /former")
    page.reset(0, 3.0)
    assert page.in_flight() == page.recent() == page.slowest() == []
    serve(page, 0, 4.0, 0.5, 200, "GET /mine")
    assert [each.what for each in page.recent()] == ["GET /mine"]


def test_a_page_outlives_the_process_that_was_killed_over_it():
    """In the middle of anything; and whoever has the page next begins anew."""
    board = Scoreboard(1, 1)
    ready, begun = os.pipe()
    pid = os.fork()
    if not pid:
        page = board.page(0)
        page.reset(os.getpid(), 1.0)
        serve(page, 0, 1.0, 0.25, 200, "GET /before")
        page.begin_request(0, 2.0, "GET /last?a=1")
        os.write(begun, b"x")
        signal.pause()
    assert os.read(ready, 1) == b"x"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(begun)
    page = board.page(0)
    assert (page.pid, page.in_flight()) == (pid, [(2.0, "GET /last?a=1")])
    assert page.recent() == [Finished(1.0, 0.25, 200, "GET /before")]


def test_a_reader_never_sees_the_text_of_one_request_with_the_times_of_another():
    page = Scoreboard(1, 1).page(0)
    over = threading.Event()

    def write():
        number = 0
        while not over.is_set():
            number = number % 1000 + 1
            serve(page, 0, float(number), float(number), number, f"GET /{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = 0
        while seen < 2000:
            for each in (*page.recent(), *page.slowest()):
                seen += 1
                assert each.what == f"GET /{each.status}", each
                assert each.started == each.took_s == each.status
            for started, what in page.in_flight():
                assert what == f"GET /{started:.0f}"
    finally:
        over.set()
        writer.join()


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
    for garbage in (b"\xff", b"\x01", b"\xbf"):
        memory = mmap.mmap(-1, 64 + page_bytes(2))
        page = Page(memory, 0, 64, 2)
        memory[:] = garbage * len(memory)
        assert page.state in WorkerState
        assert isinstance(page.last_beat, float)
        assert isinstance(page.unlisted, int)
        assert isinstance(page.work(5.0), Work)
        for found in (page.in_flight(), page.recent(), page.slowest()):
            assert isinstance(found, list)


@pytest.mark.parametrize(
    ("idle", "besides", "expected"),
    [([], 0, False), ([0], 0, False), ([0], 1, True), ([0, 2], 0, True), ([1, 2], 2, True), ([2], 2, False)],
)
def test_idle_workers_looks_at_all_pages_but_one(idle, besides, expected):
    board = Scoreboard(3, 1)
    for index in range(3):
        board.page(index).state = WorkerState.IDLE if index in idle else WorkerState.BUSY
    assert board.idle_workers(besides) is expected
