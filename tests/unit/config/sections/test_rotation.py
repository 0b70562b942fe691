import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.rotation import read_interval, read_size


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        *[(0, 0), (None, 0), (4096, 4096), ("4096", 4096), ("512K", 2**19), ("10M", 10 * 2**20)],
        *[("10 mb", 10 * 2**20), ("1G", 2**30), ("1GiB", 2**30), ("2t", 2**41)],
    ],
)
def test_a_size_may_have_a_unit(raw, size):
    assert read_size(raw) == size


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        *[(0, 0), (None, 0), ("0", 0), (3600, 3600), ("hourly", 3600), (" Daily ", 86400), ("weekly", 7 * 86400)],
        *[("90m", 5400), ("12h", 43200), ("7d", 7 * 86400), ("1w", 7 * 86400), ("600s", 600)],
    ],
)
def test_an_interval_may_be_a_word_or_have_a_unit(raw, seconds):
    assert read_interval(raw) == seconds


@pytest.mark.parametrize("raw", ["ten", "", "10X", "1.5M", "-1", -1, 1.5, "M", "10D"])
def test_other_things_are_no_size(raw):
    with pytest.raises(BadValue):
        read_size(raw)


@pytest.mark.parametrize("raw", ["monthly", "", "10G", "-1h", -1, 1.5, 5, "59s"])
def test_other_things_are_no_interval(raw):
    with pytest.raises(BadValue):
        read_interval(raw)
