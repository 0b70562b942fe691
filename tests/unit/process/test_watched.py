import os
from types import ModuleType

from ostler.process.watched import (
    directories_of,
    file_stamps,
    is_compiled,
    matching_files,
    module_files,
    package_files,
)


def module(name, filename):
    made = ModuleType(name)
    made.__file__ = filename
    return made


def make(directory, *names):
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()


def names(directory, found):
    return sorted(os.path.relpath(each, directory) for each in found)


def test_files_of_modules_are_their_sources():
    class Odd:
        __file__ = "odd.py"

    modules = [module("a", "/a.py"), module("b", "/b.pyc"), module("c", None), ModuleType("d"), None, Odd()]
    assert module_files(modules) == {"/a.py", "/b.py"}


def test_a_lazy_module_is_not_loaded_by_looking():
    class Lazy(ModuleType):
        def __getattribute__(self, name):
            raise AssertionError(f"{name} was asked for")

    assert module_files([Lazy("lazy")]) == set()


def test_a_package_is_watched_with_what_is_not_imported(tmp_path):
    make(tmp_path, "pkg/__init__.py", "pkg/sub/new.py", "pkg/notes.txt", "beside.py")
    package = module("pkg", str(tmp_path / "pkg/__init__.py"))
    package.__path__ = [str(tmp_path / "pkg")]
    assert names(tmp_path, package_files("pkg.wsgi", {"pkg": package})) == ["pkg/__init__.py", "pkg/sub/new.py"]
    assert package_files("plain", {"plain": module("plain", "x.py")}) == set()
    assert package_files("absent", {}) == set()


def test_patterns_mean_files_of_this_moment_and_names_mean_themselves(tmp_path):
    make(tmp_path, "a.html", "t/b.html", "t/deep/c.html", "t/d.html/e.txt", "t/__pycache__/f.html", "t/g.pyc")
    entries = [str(tmp_path / "t/**/*.html"), str(tmp_path / "absent.toml")]
    assert names(tmp_path, matching_files(entries)) == ["absent.toml", "t/b.html", "t/deep/c.html"]
    make(tmp_path, "t/new.html")
    assert str(tmp_path / "t/new.html") in matching_files(entries)
    assert names(tmp_path, matching_files([str(tmp_path / "t/*")])) == ["t/b.html", "t/new.html"]


def test_directories_are_those_of_the_files_and_of_what_links_mean(tmp_path):
    make(tmp_path, "a/x.py", "b/y.py")
    (tmp_path / "a/link.py").symlink_to("../b/y.py")
    files = [str(tmp_path / "a/x.py"), str(tmp_path / "a/link.py")]
    assert names(tmp_path, directories_of(files, [])) == ["a", "b"]


def test_directories_of_a_pattern_are_all_where_a_match_could_appear(tmp_path):
    make(tmp_path, "t/b.html", "t/deep/er/c.txt", "s/one/conf/x", "s/two/y")
    assert names(tmp_path, directories_of([], [str(tmp_path / "t/**/*.html")])) == ["t", "t/deep", "t/deep/er"]
    assert names(tmp_path, directories_of([], [str(tmp_path / "t/*.html")])) == ["t"]
    assert names(tmp_path, directories_of([], [str(tmp_path / "s/*/conf/*")])) == ["s", "s/one", "s/one/conf", "s/two"]


def test_for_a_directory_that_is_not_there_the_nearest_above_counts(tmp_path):
    make(tmp_path, "a/x")
    assert names(tmp_path, directories_of([str(tmp_path / "a/b/c/d.toml")], [])) == ["a"]
    assert names(tmp_path, directories_of([], [str(tmp_path / "a/b/*.toml")])) == ["a"]


def test_files_that_are_not_there_have_no_stamp(tmp_path):
    (tmp_path / "a").write_text("four")
    os.utime(tmp_path / "a", ns=(1, 7))
    found = list(file_stamps([str(tmp_path / "a"), str(tmp_path / "b"), "bad\0name"]))
    assert found == [(str(tmp_path / "a"), (7, 4))]


def test_what_python_wrote_is_told_from_the_rest():
    assert is_compiled("/a/__pycache__/x.html")
    assert is_compiled("x.pyc")
    assert not is_compiled("/a/pycache.py")
