import subprocess
import sys
from pathlib import Path

SOURCE = str(Path(__file__).parents[3] / "src")
PACKAGE = """
def getproctitle():
    print("asked")
def setproctitle(text):
    print(repr(text))
"""
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from ostler.process import title
print(title.set_title("gunicorn: master [\\0shop]"))
"""


def run(directory):
    command = [sys.executable, "-S", "-c", PROGRAM, directory]  # -S: no package of the virtual environment
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\n")


def test_the_package_is_asked_once_at_import_and_given_the_whole_title(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", SOURCE)
    (tmp_path / "setproctitle.py").write_text(PACKAGE)
    assert run(str(tmp_path)) == ["asked", "'gunicorn: master [shop]'", "True", ""]


def test_without_the_package_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", SOURCE)
    assert run(str(tmp_path)) == ["False", ""]
