import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.workers import read_parser, read_worker_class


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("sync", "sync"),
        (" gthread ", "gthread"),
        ("gunicorn.workers.sync.SyncWorker", "sync"),
        ("gunicorn.workers.gthread.ThreadWorker", "gthread"),
        ("egg:gunicorn#gthread", "gthread"),
    ],
)
def test_a_worker_kind_may_be_given_by_gunicorns_path(raw, kind):
    assert read_worker_class(raw) == kind


@pytest.mark.parametrize("raw", ["gevent", "uvicorn.workers.UvicornWorker", "pkg:Worker", int, "nonsense", None])
def test_other_kinds_are_refused(raw):
    with pytest.raises(BadValue):
        read_worker_class(raw)


def test_gunicorns_parsers_are_known():
    assert [read_parser(raw) for raw in ("Fast", "python", None)] == ["fast", "python", "auto"]
    with pytest.raises(BadValue):
        read_parser("other")
