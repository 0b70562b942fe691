"""One fuzzing process: `python -m fuzz.child TARGET [libFuzzer's options] [CORPUS ...]`. Started by the other modules.

Coverage is that of `ostler.http` alone: targets and references are the measure, not the measured.
`python -m fuzz.child TARGET --sift FOLDER` removes the seeds in a folder that fail at once, and says how many.
"""

import sys
from pathlib import Path

from fuzz import targets
from fuzz.mutation import Mutator, tokens


def fuzz(name: str, options: list[str]) -> None:
    """Run libFuzzer; does not return."""
    import atheris  # replays and sifting do without

    with atheris.instrument_imports(include=["ostler.http"]):
        target = targets.load(name)

    def plain(data: bytes, size: int) -> bytes:
        return bytes(atheris.Mutate(data, size))  # looked up late: Fuzz() puts another function in its place

    mutator = Mutator(target.settings_bytes, plain, tokens())
    atheris.Setup([sys.argv[0], *options], target.check, custom_mutator=mutator)
    atheris.Fuzz()


def sift(name: str, folder: Path) -> None:
    """Remove what fails at once."""
    check = targets.load(name).check
    kept = removed = 0
    for path in sorted(folder.iterdir()):
        try:
            check(path.read_bytes())
        except Exception:  # noqa: BLE001  whatever a broken copy of the code raises
            path.unlink()
            removed += 1
        else:
            kept += 1
    print(f"kept={kept} removed={removed}")


if __name__ == "__main__":
    if sys.argv[2:3] == ["--sift"]:
        sift(sys.argv[1], Path(sys.argv[3]))
    else:
        fuzz(sys.argv[1], sys.argv[2:])
