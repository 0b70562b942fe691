import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.reloads import read_paths, read_targets, read_thresholds


@pytest.mark.parametrize(
    "target",
    ["/", "/a?b=1", "//x", "http://shop.example/", "http://shop.example:8000/health", "http://[::1]:80/", "/[x"],
)
def test_a_target_is_a_path_with_a_host_or_without(target):
    assert read_targets(target) == (target,)
    assert read_targets([target, "/b"]) == (target, "/b")


@pytest.mark.parametrize(
    "target",
    ["health", "https://shop.example/", "http://shop.example", "http:///x", "http://[x/", "http://u@h/", "/ä"],
)
def test_other_things_are_no_target(target):
    with pytest.raises(BadValue, match=r"/health"):
        read_targets([target])


@pytest.mark.parametrize("reader", [read_targets, read_paths])
def test_none_are_none(reader):
    assert reader(None) == reader([]) == reader(()) == ()


def test_a_path_to_fail_has_no_host():
    assert read_paths(["/ready", "/health/ready"]) == ("/ready", "/health/ready")
    for other in ("ready", "http://h/ready", "/a b"):
        with pytest.raises(BadValue):
            read_paths([other])


@pytest.mark.parametrize(
    ("raw", "numbers"),
    [
        *[("500,2000", (500, 2000)), (" 500 , 2000 ", (500, 2000)), ("500", (500,)), (500, (500,))],
        *[([500, 2000], (500, 2000)), ((500, "2000", 0), (500, 2000, 0)), ("500,0", (500, 0))],
        *[("", ()), (None, ()), ([], ())],
    ],
)
def test_thresholds_are_numbers_of_requests_and_a_last_zero(raw, numbers):
    assert read_thresholds(raw) == numbers


@pytest.mark.parametrize("raw", [0, "0", "0,500", "500,0,500", -1, "many", "500;2000", 1.5, {"a": 1}])
def test_other_things_are_no_thresholds(raw):
    with pytest.raises(BadValue, match="500,2000"):
        read_thresholds(raw)
