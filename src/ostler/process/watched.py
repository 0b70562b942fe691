"""Which files the `reload` settings mean, and in which directories a change of them shows.

Rules for editing: what is found is a set of names at this moment; nothing is remembered here (process/watch.py does). A
file or directory that cannot be read is not there.
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Final

Stamp = tuple[int, int]
"""Time of the last change in ns, size in bytes."""

CACHE: Final = "__pycache__"
_COMPILED: Final = (".pyc", ".pyo")
_MAGIC: Final = re.compile(r"[*?[]")

_stat = os.stat


def module_files(modules: Iterable[ModuleType | None]) -> set[str]:
    """The source files of modules. Anything can stand in sys.modules; what is no module there is passed over."""
    files = set()
    for module in modules:
        if not isinstance(module, ModuleType):
            continue
        # Not module.__file__: a lazy module would import itself for that.
        filename = object.__getattribute__(module, "__dict__").get("__file__")
        if isinstance(filename, str):
            files.add(filename.removesuffix("c") if filename.endswith(".pyc") else filename)
    return files


def package_files(package: str, modules: dict[str, ModuleType]) -> set[str]:
    """Python files under the directories of a package (dotted name; the top-level package counts), imported or not:
    a new file that does not compile is in no module, and its cure must be noticed too.
    """
    paths = getattr(modules.get(package.partition(".")[0]), "__path__", ())
    files = set()
    for path in paths:
        for directory, _, names in os.walk(path):
            files |= {os.path.join(directory, name) for name in names if name.endswith(".py")}
    return files


def matching_files(entries: Iterable[str]) -> set[str]:
    """The files that `reload_extra_files` means now: names, there or not, and what patterns (`*`, `**`) match."""
    files = set()
    for entry in entries:
        if _MAGIC.search(entry) is None:
            files.add(entry)
            continue
        found = glob.glob(entry, recursive=True)
        files |= {each for each in found if not is_compiled(each) and not os.path.isdir(each)}
    return files


def directories_of(files: Iterable[str], entries: Iterable[str]) -> set[str]:
    """Directories whose entries must be watched: of the files, of what symbolic links mean, and those where a match of
    a pattern could appear. For one that is not there, the nearest above it that is.
    """
    wanted = set()
    for filename in files:
        wanted.add(os.path.dirname(os.path.abspath(filename)))
        if os.path.islink(filename):
            wanted.add(os.path.dirname(os.path.realpath(filename)))
    for entry in entries:
        head = os.path.abspath(entry)
        while _MAGIC.search(head):
            head = os.path.dirname(head)
            wanted |= {each.rstrip(os.sep) or os.sep for each in glob.glob(os.path.join(head, ""), recursive=True)}
        wanted.add(head if head != os.path.abspath(entry) else os.path.dirname(head))
    return {_nearest(directory) for directory in wanted if os.path.basename(directory) != CACHE}


def file_stamps(files: Iterable[str]) -> Iterator[tuple[str, Stamp]]:
    """(file, stamp) of those that are there. Symbolic links are followed."""
    for filename in files:
        try:
            found = _stat(filename)
        except (OSError, ValueError):
            continue
        yield filename, (found.st_mtime_ns, found.st_size)


def is_compiled(filename: str) -> bool:
    """Whether Python wrote it: it changes when its source does, or when somebody reads that."""
    return filename.endswith(_COMPILED) or f"{os.sep}{CACHE}{os.sep}" in filename


def _nearest(directory: str) -> str:
    while not os.path.isdir(directory) and directory != os.path.dirname(directory):
        directory = os.path.dirname(directory)
    return directory
