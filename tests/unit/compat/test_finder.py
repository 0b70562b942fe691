"""compat/finder.py: in a process of its own, for this one compares us with a real Gunicorn."""

import subprocess
import sys

import pytest

from ostler.compat.finder import MODULES, GunicornFinder, ours

INSTALL = "import sys\nfrom ostler.compat import finder\nfinder.install()\nimport gunicorn\n"


def run(code):
    """What a process prints that does `code` after the finder was installed."""
    command = [sys.executable, "-c", INSTALL + code]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_package_says_which_gunicorn_it_stands_in_for():
    assert run(
        "print(gunicorn.__version__, gunicorn.version_info, gunicorn.SERVER, gunicorn.SERVER_SOFTWARE)\n"
        "gunicorn.SERVER = 'mine'\n"
        "import gunicorn as again; print(again.SERVER, again.__name__)\n"
    ) == ["27.0.1 (27, 0, 1) gunicorn gunicorn/27.0.1", "mine gunicorn"]


def test_the_package_is_there_before_anybody_imports_it():
    code = "import sys\nfrom ostler.compat import finder\nfinder.install()\nfinder.install()\n"
    code += "assert 'gunicorn' in sys.modules\nassert type(sys.meta_path[0]) is not type(sys.meta_path[1])\n"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_module_that_is_promised_is_ours_under_both_names():
    lines = run(
        "import importlib\n"
        "for theirs, here in finder.MODULES.items():\n"
        "    found = importlib.import_module(theirs)\n"
        "    print(theirs, sys.modules[theirs] is found, found is importlib.import_module(here), found.__file__)\n"
    )
    packages = {
        name for name in MODULES if any(each.startswith(f"{name}.") for each in MODULES)
    }  # they keep their names
    expected = [f"{theirs} True {theirs not in packages}" for theirs in MODULES]
    assert [line.rpartition(" ")[0] for line in lines] == expected
    assert all("/ostler/compat/" in line for line in lines)


def test_names_are_imported_in_all_the_ways_that_configuration_files_use():
    assert run(
        "from gunicorn import glogging, util\n"
        "from gunicorn.glogging import Logger\n"
        "import gunicorn.instrument.statsd\n"
        "from gunicorn.config import AccessLogFormat, Config\n"
        "from gunicorn.errors import HaltServer, ConfigError, AppImportError\n"
        "import ostler.compat.glogging as ours\n"
        "print(Logger is ours.Logger is glogging.Logger, issubclass(gunicorn.instrument.statsd.Statsd, Logger))\n"
        "import importlib.util\n"
        "print(importlib.util.find_spec('gunicorn.debug').name)\n"
    ) == ["True True", "gunicorn.debug"]


@pytest.mark.parametrize(
    "statement",
    ["import gunicorn.dirty", "from gunicorn import uwsgi", "from gunicorn.workers.workertmp import WorkerTmp"],
)
def test_what_is_not_built_is_named_and_never_taken_from_an_installed_gunicorn(statement):
    pytest.importorskip("gunicorn")
    (line,) = run(f"try:\n    {statement}\nexcept ModuleNotFoundError as error:\n    print(error)\n")
    assert line.startswith(("gunicorn.dirty is", "gunicorn.uwsgi is", "gunicorn.workers.workertmp is"))
    assert "not built yet in this version of Ostler (" in line


def test_a_real_gunicorn_that_was_imported_before_is_put_aside():
    pytest.importorskip("gunicorn")
    code = "import gunicorn.glogging as theirs\n" + INSTALL
    code += "import gunicorn.glogging as here\nassert here is not theirs\nassert gunicorn.glogging is here\n"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_other_modules_are_not_its_business():
    finder = GunicornFinder()
    assert finder.find_spec("gunicornish") is None
    assert (ours("gunicorn.glogging"), ours("gunicorn.dirty")) == ("ostler.compat.glogging", None)
