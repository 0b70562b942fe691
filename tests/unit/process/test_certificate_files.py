"""process/certificate_files.py: a change counts when it stands still; contents travel without a name."""

import os

import pytest

from ostler.process.certificate_files import WatchedFiles, named, pack, unpack


@pytest.fixture(autouse=True)
def no_descriptor_stays():
    before = sorted(os.listdir("/dev/fd"))
    yield
    assert sorted(os.listdir("/dev/fd")) == before


@pytest.fixture
def pair(tmp_path):
    paths = [str(tmp_path / "cert"), str(tmp_path / "key")]
    for path in paths:
        write(path, "first")
    return paths


def write(path, text):
    """In place of what is there, as renewals do it: a new inode."""
    with open(f"{path}.new", "w") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def test_nothing_changed_is_nothing(pair):
    files = WatchedFiles(pair)
    assert files.changed() == []
    assert files.changed() == []


def test_a_change_counts_when_it_was_the_same_at_two_looks(pair):
    files = WatchedFiles(pair)
    write(pair[0], "second")
    assert files.changed() == []
    write(pair[1], "second")
    assert files.changed() == []
    assert files.changed() == pair
    assert files.changed() == []
    assert files.read() == dict.fromkeys(pair, b"second")


def test_a_file_that_is_gone_has_changed_and_when_it_is_back_too(pair):
    files = WatchedFiles(pair)
    os.remove(pair[1])
    assert [files.changed(), files.changed(), files.changed()] == [[], pair[1:], []]
    with pytest.raises(FileNotFoundError) as caught:
        files.read()
    assert caught.value.filename == pair[1]
    write(pair[1], "first")
    assert [files.changed(), files.changed(), files.changed()] == [[], pair[1:], []]


def test_a_link_that_means_another_file_has_changed(pair, tmp_path):
    live = str(tmp_path / "live")
    os.symlink(pair[0], live)
    files = WatchedFiles([live])
    os.remove(live)
    os.symlink(pair[1], live)
    assert [files.changed(), files.changed()] == [[], [live]]


def test_contents_are_unpacked_as_they_were_packed_and_any_number_of_times():
    contents = {"/a b/ü": bytes(range(256)) * 10000, "/empty": b""}
    fd = pack(contents)
    again = os.dup(fd)
    assert unpack(fd) == contents
    assert unpack(again) == contents


def test_what_was_not_packed_by_us_is_an_error_and_closed():
    fd = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(ValueError, match="Expecting value"):
        unpack(fd)


def test_bytes_have_a_name_for_a_while():
    with named(b"secret") as name:
        for _ in range(2):
            with open(name, "rb") as file:
                assert file.read() == b"secret"
    assert not os.path.exists(name)


def test_it_works_without_memory_files(monkeypatch):
    monkeypatch.setattr("ostler.process.certificate_files._memory", None)
    with named(b"secret") as name, open(name, "rb") as file:
        assert file.read() == b"secret"
    assert unpack(pack({"a": b"b"})) == {"a": b"b"}
