from ostler.config.reference import render
from ostler.config.refused import REFUSED
from ostler.config.sections import ENTRIES


def test_every_setting_has_its_place_on_the_page():
    page = render()
    for entry in ENTRIES:
        assert f"### `{entry.name}`" in page
        assert entry.doc in page
    for refused in REFUSED:
        assert f"`{refused.name}`" in page
