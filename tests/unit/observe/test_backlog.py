"""observe/backlog.py"""

from ostler.observe.backlog import LIMIT_BYTES, Backlog, Waiting


def taken(backlog):
    entries = []
    while (entry := backlog.take()) is not None:
        entries.append(entry)
    return entries


def filled():
    """A full backlog, and how many lines are in it."""
    backlog, count = Backlog(), 0
    while backlog.add(b"x" * 1000, 0):
        count += 1
    return backlog, count


def test_lines_come_out_in_order():
    backlog = Backlog()
    assert not backlog
    assert backlog.add(b"a", 0)
    assert backlog.add(b"b", 0)
    assert backlog
    assert taken(backlog) == [Waiting(b"a"), Waiting(b"b")]
    assert not backlog


def test_the_rest_of_a_line_comes_first():
    backlog = Backlog()
    backlog.add(b"next", 0)
    backlog.put_first(b"rest")
    assert taken(backlog) == [Waiting(b"rest", begun=True), Waiting(b"next")]


def test_missing_lines_are_noted_in_their_place():
    backlog = Backlog()
    backlog.add(b"a", 0)
    backlog.add(b"b", 3)
    assert taken(backlog) == [Waiting(b"a"), Waiting(b"", lost=3), Waiting(b"b")]


def test_it_is_bounded_and_the_oldest_stay():
    backlog, count = filled()
    assert 800 < count < LIMIT_BYTES / 1000
    assert backlog.take() == Waiting(b"x" * 1000)


def test_empty_lines_are_bounded_too():
    backlog, count = Backlog(), 0
    while backlog.add(b"", 0):
        count += 1
    assert count < 10_000


def test_after_it_was_full_it_takes_nothing_until_half_is_free():
    backlog, count = filled()
    for _ in range(count // 2 - 2):
        backlog.take()
        assert not backlog.add(b"y" * 1000, 0)
    for _ in range(5):
        backlog.take()
    assert backlog.add(b"y" * 1000, 0)
    assert backlog.add(b"y" * 1000, 0)


def test_a_line_above_all_bounds_is_refused():
    backlog = Backlog()
    assert not backlog.add(b"x" * LIMIT_BYTES, 0)
    assert backlog.take() is None
    assert backlog.add(b"x" * (LIMIT_BYTES - 1000), 0)


def test_lines_are_put_together_up_to_a_size():
    backlog = Backlog()
    for line in (b"a\n", b"b\n", b"c\n"):
        backlog.add(line, 0)
    backlog.add(b"d\n", 2)
    assert backlog.take(5) == Waiting(b"a\nb\n", lines=2)
    assert backlog.take(5) == Waiting(b"c\n")
    assert backlog.take(5) == Waiting(b"", lost=2)
    assert backlog.take(1) == Waiting(b"d\n")


def test_what_is_left_of_lines():
    three = Waiting(b"aa\nbb\ncc\n", lines=3)
    assert three.after(3) == Waiting(b"bb\ncc\n", lines=2)
    assert three.after(4) == Waiting(b"b\ncc\n", begun=True, lines=2)
    assert Waiting(b"a\nb\nc\n").after(1) == Waiting(b"\nb\nc\n", begun=True)


def test_what_is_thrown_away_is_counted():
    backlog = Backlog()
    backlog.add(b"a\n", 0)
    backlog.add(b"b\n", 7)
    assert backlog.forget() == 2
    assert not backlog
