"""Which generation new workers are made of, which one is on trial, and how many workers there should be.

A generation is a candidate until its first worker is ready (and has passed as a canary); then it is committed, and
every worker of another one is stale. A candidate that fails is dropped and leaves nothing behind. The very first one
has nothing to fall back to. A committed one can be taken back: then the former one is committed again.

Rules for editing: no processes here, only numbers.
"""

from dataclasses import replace

from ostler.supervisor.policy import GenerationSpec


class Generations:
    """The specs that matter, and the goal."""

    def __init__(self) -> None:
        self._specs: dict[int, GenerationSpec] = {}
        self._configured = 0  # `workers` of the committed settings; TTIN and TTOU move only the goal
        self._scales = False  # its goal follows the load
        self.committed: int | None = None
        self.candidate: int | None = None
        self.goal = 0

    def spec(self, number: int) -> GenerationSpec:
        return self._specs[number]

    @property
    def base(self) -> int | None:
        """What fills the goal: the committed generation, or the first candidate."""
        return self.candidate if self.committed is None else self.committed

    @property
    def on_trial(self) -> int | None:
        """The candidate beside a committed generation."""
        return None if self.committed is None else self.candidate

    def accept(self, spec: GenerationSpec) -> None:
        """A new candidate, instead of the former one."""
        self._specs[spec.number] = spec
        self.candidate = spec.number
        if self.committed is None:
            self._adopt_workers(spec)

    def commit(self) -> None:
        """The candidate has a ready worker that is good enough."""
        assert self.candidate is not None
        self.committed, self.candidate = self.candidate, None
        self._adopt_workers(self._specs[self.committed])

    def take_back(self, former: int) -> None:
        """The committed generation is given up for the one before."""
        self.committed = former
        if self.goal:  # workers that were dismissed stay away
            self._adopt_workers(self._specs[former])

    def drop_candidate(self) -> None:
        self.candidate = None

    def preload_no_more(self, number: int) -> None:
        """Workers of this generation load the application by themselves."""
        self._specs[number] = replace(self._specs[number], preload=False, refork_after=())

    def unused(self, in_use: set[int]) -> list[int]:
        """Forget, and return, the numbers that nothing needs any more."""
        needed = in_use | {self.committed, self.candidate}
        numbers = [number for number in self._specs if number not in needed]
        for number in numbers:
            del self._specs[number]
        return numbers

    def _adopt_workers(self, spec: GenerationSpec) -> None:
        # An override by TTIN or TTOU stands until the file itself says another number (failures R10); WINCH until HUP.
        # What the load asks for stands within its bounds, as long as there are some.
        scales, self._scales = self._scales, spec.workers_max > 0
        if spec.workers != self._configured or self.goal == 0 or (scales and not self._scales):
            self._configured = self.goal = spec.workers
        elif self._scales:
            self.goal = min(max(self.goal, spec.workers_min), spec.workers_max)
