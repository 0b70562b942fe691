"""A directory to start in, and the process put back as it was: config files change sys.path and sys.modules."""

import os
import sys

import pytest


@pytest.fixture
def start(tmp_path):
    """An empty directory that is the working directory; what the test does to the process is undone."""
    directory, path, modules = os.getcwd(), sys.path.copy(), sys.modules.copy()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(directory)
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
