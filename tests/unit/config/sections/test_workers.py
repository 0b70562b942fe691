import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.workers import KINDS, is_kind, read_parser, read_worker_class
from tests.compat.surface import WORKER_CLASSES


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("sync", "sync"),
        (" gthread ", "gthread"),
        ("gunicorn.workers.sync.SyncWorker", "sync"),
        ("gunicorn.workers.gthread.ThreadWorker", "gthread"),
        ("egg:gunicorn#gthread", "gthread"),
        ("gevent_pywsgi", "gevent"),
        ("gunicorn.workers.ggevent.GeventPyWSGIWorker", "gevent"),
        ("gunicorn.workers.gasgi.ASGIWorker", "asgi"),
        ("egg:ostler#tornado", "tornado"),
    ],
)
def test_a_worker_kind_may_be_given_by_gunicorns_path(raw, kind):
    assert read_worker_class(raw) == kind


@pytest.mark.parametrize("row", [row for row in WORKER_CLASSES if row.alias not in ("egg", "class")])
def test_every_name_that_gunicorn_has_for_a_kind_is_that_kind(row):
    kind = read_worker_class(row.alias)
    assert kind in KINDS
    assert read_worker_class(row.path) == read_worker_class(f"egg:gunicorn#{row.alias}") == kind


@pytest.mark.parametrize(
    "raw", ["pkg:Worker", "pkg..Worker", ".Worker", "pkg.2", "egg:pkg", "egg:#name", int, "nonsense", "", None, 3]
)
def test_what_names_no_worker_class_is_refused(raw):
    with pytest.raises(BadValue):
        read_worker_class(raw)


@pytest.mark.parametrize("raw", ["uvicorn.workers.UvicornWorker", " pkg.mod.Class ", "egg:meinheld#gunicorn_worker"])
def test_a_class_of_others_is_kept_as_it_is_named_and_not_imported(raw):
    assert read_worker_class(raw) == raw.strip()
    assert not is_kind(raw)


def test_a_class_itself_is_kept_and_gunicorns_own_are_kinds():
    class Mine:
        def init_process(self): ...

    class SyncWorker(Mine):
        __module__ = "gunicorn.workers.sync"
        __qualname__ = "SyncWorker"

    assert read_worker_class(Mine) is Mine
    assert read_worker_class(SyncWorker) == "sync"


def test_an_entry_point_is_a_worker_class(tmp_path, monkeypatch):
    info = tmp_path / "herd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: herd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gunicorn.workers]\nherd_worker = herd:Worker\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert read_worker_class("herd_worker") == "herd_worker"


def test_gunicorns_parsers_are_known():
    assert [read_parser(raw) for raw in ("Fast", "python", None)] == ["fast", "python", "auto"]
    with pytest.raises(BadValue):
        read_parser("other")
