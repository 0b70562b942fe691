"""Configuration files: which one is read, and what is in it. Python is user code, run for its names; TOML is data.

A Python file is compiled anew each time (no bytecode cache: a reload within the same second must see the new text), in
a fresh module called `__config__`, as in Gunicorn. It runs with the start directory as working directory and on
`sys.path`. Whatever it raises becomes a ConfigFileError; a failed run leaves no half-made module in `sys.modules`.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from ostler.config.nearmiss import near_misses
from ostler.config.toml_files import PROJECT_FILE, PROJECT_TABLE, is_toml, read_toml, speaks_of_us
from ostler.config.usercode import ConfigFileError, describe_exception
from ostler.errors import ConfigError, reason_of

_MODULE_NAME = "__config__"
_DEFAULT_NAMES = ("gunicorn.conf.py", "ostler.conf.py", "ostler.toml")
_PYTHON_SUFFIXES = (".py", ".pyc")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file holds, by name.

    only_settings: every name must be a setting (TOML); the names of Python code may be anything.
    notices: lines for the operator.
    """

    names: Mapping[str, object]
    only_settings: bool
    notices: tuple[str, ...] = ()


def default_file(directory: str) -> str | None:
    """The name of the file that is read without `-c`; None when there is none. Raises ConfigError for two."""
    present = {name: name for name in _DEFAULT_NAMES if os.path.exists(os.path.join(directory, name))}
    if speaks_of_us(os.path.join(directory, PROJECT_FILE)):
        present[PROJECT_FILE] = f"{PROJECT_TABLE} in {PROJECT_FILE}"
    if len(present) > 1:
        raise ConfigError(
            f"config: expected one configuration file, got {' and '.join(present.values())} (in {directory}); "
            "remove one, or choose with -c"
        )
    return next(iter(present), None)


def read_config(location: str, directory: str, origin: str) -> ConfigFile:
    """Read `PATH`, `file:PATH` or `python:MODULE`. `origin` is who asked for it."""
    if location.startswith("python:"):
        module = _run_module(location.removeprefix("python:"), location)
        return ConfigFile(vars(module), False, _near_misses(_source_of(module), module, location))
    name = location.removeprefix("file:")
    path = os.path.join(directory, name)
    text = _read(path, name, origin)
    if is_toml(path):
        return ConfigFile(read_toml(text, name), True)
    module = _run_file(path, text, name, origin)
    notices = _near_misses(b"" if path.endswith(".pyc") else text, module, location)
    if not path.endswith(_PYTHON_SUFFIXES) and text.strip():
        notices = (f"config: {name} is read as Python although its name does not end in .py (from {origin})", *notices)
    return ConfigFile(vars(module), False, notices)


def _run_file(path: str, source: bytes, shown: str, origin: str) -> ModuleType:
    compiled = path.endswith(".pyc")
    kind = importlib.machinery.SourcelessFileLoader if compiled else importlib.machinery.SourceFileLoader
    loader = kind(_MODULE_NAME, path)
    spec = importlib.util.spec_from_file_location(_MODULE_NAME, path, loader=loader)
    if spec is None:
        raise ConfigError(f'config: expected a Python file, got "{shown}" (from {origin})')
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(_MODULE_NAME)
    sys.modules[_MODULE_NAME] = module
    try:
        if isinstance(loader, importlib.machinery.SourceFileLoader):
            code = loader.source_to_code(source, path)
            exec(code, module.__dict__)
        else:
            loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _put_back(_MODULE_NAME, before)
        raise _failed(shown, error) from error
    return module


def _run_module(name: str, shown: str) -> ModuleType:
    if not name:
        raise ConfigError(f'config: expected python:MODULE, got "{shown}"')
    # Out of sys.modules first: a reload runs it again.
    before = sys.modules.pop(name, None)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _put_back(name, before)
        raise _failed(shown, error) from error


def _read(path: str, shown: str, origin: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        cure = f"; did you mean python:{shown}?" if _looks_like_module(shown) else ""
        raise ConfigError(f'config: expected a file, got "{shown}": nothing there (from {origin}){cure}') from None
    except IsADirectoryError:
        raise ConfigError(f'config: expected a file, got "{shown}": a directory (from {origin})') from None
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error).lower()
        raise ConfigError(f'config: cannot read "{shown}": {reason} (from {origin})') from None


def _looks_like_module(text: str) -> bool:
    return not text.endswith((".py", ".toml")) and all(part.isidentifier() for part in text.split("."))


def _source_of(module: ModuleType) -> bytes:
    """The text of an imported module, or nothing: without it no name can be judged, and nothing else is lost."""
    path = module.__file__
    if path is None or not path.endswith(".py"):
        return b""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _near_misses(source: bytes, module: ModuleType, location: str) -> tuple[str, ...]:
    return tuple(
        f"{miss.name}: not a setting; did you mean {miss.meant}? (from {location}:{miss.line})"
        for miss in near_misses(source, vars(module))
    )


def _failed(shown: str, error: BaseException) -> ConfigFileError:
    summary, traceback_text = describe_exception(error)
    return ConfigFileError(f"config: {shown} raised {summary}", traceback_text)


def _put_back(name: str, module: ModuleType | None) -> None:
    if module is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = module
