"""The base of everything that hooks are given: what is not there says so, and attributes of a hook's own are kept.

Rules for editing: nothing that derives from this makes a value up. What Gunicorn has and Ostler has not is listed in
`_absent`, or in `_reasons` where "not built" is not the whole truth. What cannot be changed from a hook has no setter.
"""

from collections.abc import Mapping
from typing import ClassVar, NoReturn


class LookAlike:
    _called: ClassVar[str]
    _absent: ClassVar[str] = ""  # names that Gunicorn's object has besides, separated by blanks
    _reasons: ClassVar[Mapping[str, str]] = {}  # of names that are absent for another reason than that

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(self._problem(name), name=name, obj=self)

    def _problem(self, name: str) -> str:
        if name in self._reasons:
            return f"{self._called}.{name} is not in Ostler: {self._reasons[name]}"
        if name in self._absent.split():
            return f"{self._called}.{name} is not built in this version of Ostler, though Gunicorn has it"
        return f"{self._called} has no attribute {name!r}"
