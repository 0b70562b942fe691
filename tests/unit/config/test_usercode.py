from ostler.config.usercode import describe_exception


def raised(path, source, **names):
    """The exception of running `source` as the file `path`."""
    path.write_text(source)
    try:
        exec(compile(source, str(path), "exec"), names)
    except BaseException as error:  # noqa: BLE001  also exits: the error is the result
        return error
    raise AssertionError("it did not raise")


def test_the_summary_has_type_text_and_place_in_one_line(start):
    error = raised(start / "app.py", "def f():\n    raise ValueError('two\\nlines')\nf()\n")
    summary, text = describe_exception(error)
    assert summary == "ValueError: two lines in app.py:2"
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("lines\n")


def test_the_place_is_in_the_users_code_when_a_library_raised(start):
    summary, text = describe_exception(raised(start / "app.py", "import json\n\njson.loads('{')\n"))
    assert summary.endswith("in app.py:3")
    assert "json/decoder.py" in text


def test_frames_of_ours_and_of_the_import_system_are_left_out(start):
    (start / "broken.py").write_text("1/0\n")
    error = raised(start / "app.py", f"import sys\nsys.path.insert(0, {str(start)!r})\nimport broken\n")
    _, text = describe_exception(error)
    assert "importlib" not in text
    assert text.count("File ") == 3  # this test, app.py, broken.py


def test_a_syntax_error_names_its_own_place(start):
    (start / "broken.py").write_text("x = 1\nif:\n")
    error = raised(start / "app.py", f"import sys\nsys.path.insert(0, {str(start)!r})\nimport broken\n")
    summary, _ = describe_exception(error)
    assert summary == "SyntaxError: invalid syntax in broken.py:2"


def test_a_syntax_error_in_text_that_is_no_file_is_placed_by_its_frame(start):
    summary, _ = describe_exception(raised(start / "app.py", "\neval('1 +')\n"))
    assert summary.endswith("in app.py:2")


def test_causes_and_groups_are_shown(start):
    source = "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise ExceptionGroup('all', [KeyError('k')]) from e\n"
    summary, text = describe_exception(raised(start / "app.py", source))
    assert summary == "ExceptionGroup: all (1 sub-exception) in app.py:4"
    assert "ZeroDivisionError: division by zero" in text
    assert "KeyError: 'k'" in text


def test_an_exit_is_described_as_one(start):
    summary, _ = describe_exception(raised(start / "app.py", "raise SystemExit(3)\n"))
    assert summary == "SystemExit(3) in app.py:1"


def test_an_exception_without_frames_has_no_place():
    assert describe_exception(ValueError("x")) == ("ValueError: x", "ValueError: x\n")


def test_an_exception_whose_text_cannot_be_made_is_still_described(start):
    source = "class E(Exception):\n    def __str__(self):\n        raise KeyError\nraise E\n"
    summary, _ = describe_exception(raised(start / "app.py", source))
    assert summary == "E: <its text could not be made: KeyError> in app.py:4"


def test_a_long_text_is_cut_in_the_summary(start):
    summary, text = describe_exception(raised(start / "app.py", "raise ValueError('x' * 5000)\n"))
    assert len(summary) < 500
    assert "x" * 5000 in text
