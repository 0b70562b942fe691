"""observe/causes.py: what to do about an application that does not start."""

import pytest

from ostler.observe.causes import Cause, cure_for, cure_for_boot


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModuleNotFoundError("no", name="stripe.api"), "install stripe where the server runs"),
        (SyntaxError("bad"), "correct the line"),
        (ModuleNotFoundError("no name"), cure_for(Cause.BOOT_FAILED)),
        (ImportError("no", name="x"), cure_for(Cause.BOOT_FAILED)),
        (KeyError("SECRET"), cure_for(Cause.BOOT_FAILED)),
        (None, cure_for(Cause.BOOT_FAILED)),
    ],
)
def test_a_boot_that_failed_has_a_cure(error, expected):
    assert cure_for_boot(error).startswith(expected)
