"""A framework with switches of its own."""

multi_process = False
configuration: dict[str, str] = {}


def load(given: dict[str, str]) -> None:
    assert given["addons_path"] == "./addons"
