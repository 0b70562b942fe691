"""roles/container.py: what the log says of a place that lacks something."""

import logging
from types import SimpleNamespace

import pytest

from ostler.roles import container
from ostler.roles.container import tell_of_container

LOG = logging.getLogger("container")


def settings(**more):
    return SimpleNamespace(**{"daemon": False, "max_worker_memory": 0, "tmp_upload_dir": None} | more)


@pytest.fixture
def told(monkeypatch, caplog):
    """told(settings, ...): levels and texts. Nothing is missing unless the test says so."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(container, "shell_above", lambda: None)
    monkeypatch.setattr(container, "is_pid_one", lambda: False)
    monkeypatch.setattr(container.proc_files, "are_ours", lambda: True)

    def tell(given, environ=()):
        tell_of_container(LOG, given, dict(environ))
        return [(record.levelname, record.message) for record in caplog.records]

    return tell


def test_where_nothing_is_missing_nothing_is_said(told):
    assert told(settings()) == []


def test_a_daemon_is_told_only_to_pid_1(told, monkeypatch):
    assert told(settings(daemon=True)) == []
    monkeypatch.setattr(container, "is_pid_one", lambda: True)
    ((level, text),) = told(settings(daemon=True))
    assert level == "WARNING"
    assert text.startswith("daemon is ignored: this is PID 1")


@pytest.mark.parametrize(("limit", "level"), [(0, "INFO"), (1 << 29, "WARNING")])
def test_without_proc_a_limit_that_needs_it_is_worth_a_warning(told, monkeypatch, limit, level):
    monkeypatch.setattr(container.proc_files, "are_ours", lambda: False)
    monkeypatch.setattr(container.sys, "platform", "linux")
    ((found, text),) = told(settings(max_worker_memory=limit))
    assert found == level
    assert text.startswith("there is no /proc of this PID namespace")
    assert 'cure="mount proc"' in text


def test_no_directory_for_files(told, monkeypatch, tmp_path):
    monkeypatch.setattr(container, "_PLACES", ())
    monkeypatch.setattr(container.os, "access", lambda path, mode: str(path) == str(tmp_path))
    assert told(settings(), {"TMPDIR": str(tmp_path)}) == []
    assert told(settings(tmp_upload_dir=str(tmp_path))) == []
    ((level, text),) = told(settings(), {"TMPDIR": str(tmp_path / "missing")})
    assert level == "INFO"
    assert "no directory takes temporary files" in text
