"""`app/files.py`: which files are sent as they are on the disk, and copying without sendfile(2)."""

import gzip
import io

import pytest

from ostler.app.files import COPY_BYTES, copy_file, regular_file


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_open_files_of_the_usual_types_are_taken_as_they_are(path):
    for mode, buffering in (("rb", -1), ("rb", 0), ("r+b", -1)):
        with path.open(mode, buffering) as file:
            assert regular_file(file) is file


def test_text_memory_and_compressed_files_are_left_to_their_own_read(path, tmp_path):
    with gzip.open(tmp_path / "file.gz", "wb") as file:
        file.write(b"0123")
    with path.open() as text, gzip.open(tmp_path / "file.gz") as unpacked:
        for filelike in (text, unpacked, io.BytesIO(b"0"), object()):
            assert regular_file(filelike) is None


def test_a_copy_has_exactly_the_bytes_that_were_asked_for(path):
    blocks = []
    with path.open("rb") as file:
        file.seek(2)
        copy_file(file, 5, blocks.append)
    assert blocks == [b"23456"]


def test_a_file_that_became_shorter_is_copied_to_its_end(path):
    blocks = []
    with path.open("rb") as file:
        copy_file(file, COPY_BYTES, blocks.append)
    assert b"".join(blocks) == b"0123456789"
