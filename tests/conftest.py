"""What all tests share."""

import gc
import resource
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("ostler", deadline=None)  # these machines are noisy: no test is a question of time
settings.load_profile("ostler")

FILE_SIZE_LIMIT = resource.getrlimit(resource.RLIMIT_FSIZE)


def pytest_collection_finish() -> None:
    """The items of 12,000 tests stay: nobody has to look at them again. (A gc.collect() among them takes 0.3 s.)"""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Lift a file size limit as soon as the test that set it is over, before its fixtures are.

    In between pytest writes its progress, and ends without a word when its output goes to a file (as CI's may).
    """
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, FILE_SIZE_LIMIT)
