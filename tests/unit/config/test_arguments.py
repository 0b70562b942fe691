import pytest

from ostler.config.arguments import Answered, parse_arguments
from ostler.config.sections import TABLE
from ostler.errors import UsageError

GUNICORN = {flag: entry.name for entry in TABLE if entry.gunicorn for flag in entry.flags}
GUNICORN_LONG = {flag: name for flag, name in GUNICORN.items() if flag.startswith("--")} | {
    "--help": "",
    "--version": "",
}


def parse(*words):
    return parse_arguments(words, "the command line", takes_app=True)


def outcome(flag):
    """The setting that a flag or prefix means, or the error; tried with a value and without."""
    for words in ([flag, "1"], [flag]):
        try:
            values = parse(*words).values
        except Answered:
            return ""
        except UsageError as error:
            outcome = "ambiguous" if "ambiguous" in str(error) else str(error)
        else:
            return next(iter(values))
    return outcome


def test_every_prefix_that_is_unique_in_gunicorn_means_the_same_here():
    wrong = []
    for flag, name in GUNICORN_LONG.items():
        for length in range(4, len(flag)):
            prefix = flag[:length]
            if prefix not in GUNICORN_LONG and sum(other.startswith(prefix) for other in GUNICORN_LONG) == 1:
                found = outcome(prefix)
                if found != name:
                    wrong.append((prefix, name, found))
    assert wrong == []


def test_a_prefix_that_is_ambiguous_in_gunicorn_is_so_here():
    for prefix in ("--lo", "--no", "--max", "--h", "--re", "--b"):
        assert outcome(prefix) == "ambiguous"


@pytest.mark.parametrize("flag", sorted(GUNICORN))
def test_every_flag_of_gunicorn_is_known(flag):
    assert outcome(flag) == GUNICORN[flag]


def test_values_stay_text_and_app_is_the_word_without_a_flag():
    arguments = parse("-w", "4", "app:app", "--reload", "-b", ":1", "-b", ":2", "--no-request-buffering")
    assert arguments.app == "app:app"
    assert arguments.values == {"workers": "4", "reload": True, "bind": [":1", ":2"], "request_buffering": False}


def test_nothing_given_is_nothing():
    assert parse().values == {}
    assert parse().app is None


def test_a_flag_with_an_optional_value_means_auto_when_it_stands_alone():
    assert parse("--proxy-protocol").values == {"proxy_protocol": "auto"}
    assert parse("--proxy-protocol", "--reload").values == {"proxy_protocol": "auto", "reload": True}
    assert parse("--proxy-protocol", "v1").values == {"proxy_protocol": "v1"}


def test_prefixes_that_people_type_keep_working():
    prefixes = ("--log-f", "--log-l", "--error", "--access-logfi", "--access-logfo", "--max-requests-j", "--prel")
    assert [outcome(prefix) for prefix in prefixes] == [
        "errorlog",
        "loglevel",
        "errorlog",
        "accesslog",
        "access_log_format",
        "max_requests_jitter",
        "preload_app",
    ]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--nope"], "unrecognized arguments: --nope"),
        (["-w"], "expected one argument"),
        (["--reload=1"], "ignored explicit argument"),
        (["a:b", "c:d"], "expected one application, got 2: a:b, c:d"),
    ],
)
def test_words_that_are_not_understood_are_a_usage_error_of_one_line(words, part):
    with pytest.raises(UsageError) as caught:
        parse(*words)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_application_in_a_variable_is_refused():
    with pytest.raises(UsageError, match="expected options only"):
        parse_arguments(["app:app"], "GUNICORN_CMD_ARGS", takes_app=False)


def test_a_word_after_two_hyphens_is_the_application():
    assert parse("-w", "2", "--", "settings").app == "settings"


def test_help_is_grouped_by_section_and_silent_about_flags_that_do_nothing():
    with pytest.raises(Answered) as caught:
        parse("--help")
    assert "Server socket:" in caught.value.text
    assert "--boot-timeout INT" in caught.value.text
    for flag in ("--dirty-workers", "--ssl-version", "--worker-tmp-dir", "--http-parser"):
        assert flag not in caught.value.text
    assert "--paste" in caught.value.text
    assert "either refused by name" in " ".join(caught.value.text.split())


def test_version_is_answered_even_beside_other_words():
    with pytest.raises(Answered) as caught:
        parse("-w", "2", "-v")
    assert caught.value.text == "ostler (version 0.1.0)\n"
