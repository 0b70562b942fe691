from ostler.roles.surroundings import EnvironmentOverlay


def test_variables_are_set_and_taken_back_when_they_are_not_named_any_more() -> None:
    environ = {"HOME": "/root", "LANG": "C"}
    overlay = EnvironmentOverlay(environ)
    overlay.apply(("LANG=de", "MODE=a=b"))
    assert environ == {"HOME": "/root", "LANG": "de", "MODE": "a=b"}
    overlay.apply(("MODE=c",))
    assert environ == {"HOME": "/root", "LANG": "C", "MODE": "c"}
    overlay.apply(())
    assert environ == {"HOME": "/root", "LANG": "C"}


def test_of_a_variable_that_is_given_twice_the_last_value_counts_and_the_first_comes_back() -> None:
    environ = {"A": "0"}
    overlay = EnvironmentOverlay(environ)
    overlay.apply(("A=1", "A=2"))
    assert environ == {"A": "2"}
    overlay.apply(())
    assert environ == {"A": "0"}
