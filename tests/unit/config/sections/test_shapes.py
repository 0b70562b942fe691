"""Settings of features to come: what leaves the feature off is accepted, in every spelling; nothing else is."""

import pytest

from ostler.config.parse import BadValue, NotBuilt
from ostler.config.sections import ENTRIES
from ostler.config.setting import Support

BY_NAME = {entry.name: entry for entry in ENTRIES}
REFUSED = [entry for entry in ENTRIES if entry.support is Support.REFUSED]

OFF = {
    "http_protocols": ["h1", " H1 ", ["h1"], [], "", None],
    "http2_cleartext": ["off", False, None, "OFF"],
    "http2_max_frame_size": [16384, "16384", "0x4000"],
    "dirty_apps": [[], (), None, ""],
}
ON = {
    "http_protocols": ["h2,h1", ["h2"]],
    "http2_cleartext": [True, "both"],
    "http2_max_frame_size": [16385],
    "dirty_apps": [["mod:App"]],
    "dirty_workers": [1],
}


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry.name)
def test_the_default_may_be_given(entry):
    assert entry.read(entry.default) == entry.default_value()


@pytest.mark.parametrize(("name", "raw"), [(name, raw) for name, values in OFF.items() for raw in values])
def test_every_spelling_of_off_is_accepted(name, raw):
    assert BY_NAME[name].read(raw) == BY_NAME[name].default_value()


@pytest.mark.parametrize(("name", "raw"), [(name, raw) for name, values in ON.items() for raw in values])
def test_whatever_asks_for_the_feature_is_refused_with_its_name(name, raw):
    with pytest.raises(NotBuilt) as caught:
        BY_NAME[name].read(raw)
    assert caught.value.message(name, "a file").startswith(f"{name}: {BY_NAME[name].note} of Ostler (")


def test_a_number_that_is_none_is_told_so():
    with pytest.raises(BadValue, match="an integer") as caught:
        BY_NAME["dirty_workers"].read("many")
    assert not isinstance(caught.value, NotBuilt)
