"""roles/own_worker.py; the process is in tests/integration/test_worker_classes.py."""

from ostler.config.sections import ENTRIES
from ostler.roles.own_worker import OURS_ALONE


def test_what_has_no_effect_on_a_loop_of_its_own_are_settings_that_act():
    acting = {entry.name for entry in ENTRIES if entry.acts}
    assert set(OURS_ALONE) <= acting
    assert list(OURS_ALONE) == sorted(OURS_ALONE)
