import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.asgi import read_lifespan, read_loop, read_root_path


def test_none_is_auto_as_in_gunicorn():
    assert (read_loop(None), read_lifespan(None)) == ("auto", "auto")
    assert (read_loop(" UVLOOP "), read_lifespan("Off")) == ("uvloop", "off")


@pytest.mark.parametrize(("read", "raw"), [(read_loop, "trio"), (read_loop, True), (read_lifespan, True)])
def test_other_words_are_refused(read, raw):
    with pytest.raises(BadValue, match="auto, "):
        read(raw)


@pytest.mark.parametrize(
    ("raw", "path"), [(None, ""), ("", ""), ("/", ""), (" /api ", "/api"), ("/api/", "/api"), ("/a/b", "/a/b")]
)
def test_a_root_path_has_no_slash_at_its_end(raw, path):
    assert read_root_path(raw) == path


@pytest.mark.parametrize("raw", ["api", "http://host/api", 1, ["/api"]])
def test_a_root_path_begins_with_a_slash(raw):
    with pytest.raises(BadValue, match="a path "):
        read_root_path(raw)
