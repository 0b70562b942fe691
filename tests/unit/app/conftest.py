"""A directory with application modules, and the process put back as it was."""

import os
import sys

import pytest


@pytest.fixture
def start(tmp_path):
    """An empty directory that is the working directory and first on sys.path; what the test imports is forgotten."""
    directory, path, modules = os.getcwd(), sys.path.copy(), sys.modules.copy()
    os.chdir(tmp_path)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    os.chdir(directory)
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
