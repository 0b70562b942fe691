"""What this version does not have is refused by its name, and what is of no use here is said once."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.command import run
from tests.compat.covering import covers, covers_each
from tests.compat.rows import Hook
from tests.compat.surface import HOOKS
from tests.compat.surface_settings import MACHINE, SETTINGS, Setting
from tests.integration.harness import Server

REFUSED = [row for row in SETTINGS if row.refused]
UNUSED = [row for row in SETTINGS if row.unused]
REFUSED_HOOKS = [hook for hook in HOOKS if hook.refused]


def refusal(tmp_path: Path, config: str) -> str:
    """The one line with which --check-config refuses a configuration file."""
    (tmp_path / "given.py").write_text(config)
    ended = run(["--check-config", "--config", "given.py", "contract:application"], tmp_path)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


@covers_each(REFUSED)
@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_a_setting_that_is_not_built_yet_is_refused_by_its_name(tmp_path: Path, row: Setting) -> None:
    line = refusal(tmp_path, f"{row.name} = {row.refused}\n")
    assert re.search(rf"\b{row.name}\b", line), line
    assert "given.py" in line, line


@covers_each(REFUSED_HOOKS)
@pytest.mark.parametrize("hook", REFUSED_HOOKS, ids=lambda hook: hook.name)
def test_a_hook_that_is_not_built_yet_is_refused_by_its_name(tmp_path: Path, hook: Hook) -> None:
    assert re.search(rf"\b{hook.name}\b", refusal(tmp_path, f"def {hook.name}({hook.arguments}): pass\n"))


@covers_each(UNUSED)
@covers("env:GUNICORN_DIRTY_SOCKET")
def test_values_that_mean_off_are_accepted_and_unused_ones_are_said_once(start: Callable[..., Server]) -> None:
    """A file that spells Gunicorn's defaults out, for settings whose features are not here, starts unchanged."""
    lines = [f"{row.name} = {row.default!r}" for row in REFUSED if row.default is not MACHINE]
    lines += [f"{row.name} = {row.unused}" for row in UNUSED]
    server = start(config="\n".join(lines) + "\n", env={"GUNICORN_DIRTY_SOCKET": "/x"})
    assert server.get("/").status == 200
    for row in UNUSED:
        assert len(re.findall(rf"\b{row.name}\b", server.log())) == 1, row.name
