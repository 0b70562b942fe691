import os
import socket

import pytest

from ostler.control import running as module
from ostler.control.address import names_of


@pytest.fixture
def listening():
    """This process is a master."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(names_of(os.getpid())[0])
        listener.listen(8)
        yield


@pytest.mark.usefixtures("listening")
def test_a_master_is_found_by_its_name(monkeypatch):
    assert os.getpid() in module.running_masters()
    assert module.is_master(os.getpid())
    monkeypatch.setattr(module, "may_answer", lambda uid: False)
    assert os.getpid() not in module.running_masters()
    assert not module.is_master(os.getpid())


def test_a_name_that_another_process_holds_is_no_master():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(names_of(os.getppid())[0])
        listener.listen(1)
        assert not module.is_master(os.getppid())
        assert os.getppid() not in module.running_masters()


def test_those_of_the_same_user_come_before_all_others(monkeypatch):
    found = {3: 1000, 5: 0, 4: 1000}
    monkeypatch.setattr(module, "_named", lambda: list(found))
    monkeypatch.setattr(module, "_uid_of_master", found.get)
    monkeypatch.setattr(module, "_geteuid", lambda: 1000)
    assert module.running_masters() == [3, 4]
    monkeypatch.setattr(module, "_geteuid", lambda: 7)
    assert module.running_masters() == [3, 4, 5]


def test_parents_and_titles_are_read_of_proc():
    assert module.parent_of(os.getpid()) == os.getppid()
    assert module.parent_of(2**22 + 1) == 0
    assert module.described(os.getpid()).startswith(f"{os.getpid()} (")
    assert module.described(2**22 + 1) == str(2**22 + 1)


def test_a_path_is_a_master_where_somebody_listens(tmp_path):
    path = str(tmp_path / "x")
    assert not module.is_master(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert not module.is_master(path)
        listener.listen(1)
        assert module.is_master(path)
