"""What the contract shares with tests/integration: a failed test shows its server's log."""

from tests.integration.conftest import pytest_runtest_makereport  # noqa: F401  (a hook of pytest's)
