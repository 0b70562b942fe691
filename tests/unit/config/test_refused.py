from ostler.config.refused import REFUSED, refusal
from ostler.config.sections import ENTRIES


def test_the_two_tables_together_are_gunicorns_120_settings():
    ours = {entry.name for entry in ENTRIES if entry.gunicorn}
    refused = {entry.name for entry in REFUSED}
    assert ours & refused == set()
    assert len(ours | refused) == 120


def test_a_refusal_names_setting_version_remedy_and_place():
    assert refusal(["preload_app"], ["--preload"], "the command line") == (
        "preload_app: not built yet in this version of Ostler (0.1.0); remove --preload (from the command line)"
    )
