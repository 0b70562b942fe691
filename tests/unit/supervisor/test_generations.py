from ostler.supervisor.generations import Generations
from ostler.supervisor.policy import GenerationSpec


def spec(number: int, workers: int = 2) -> GenerationSpec:
    return GenerationSpec(number, workers, 30, 30, 300)


def test_first_candidate_is_the_base_and_is_not_on_trial() -> None:
    generations = Generations()
    generations.accept(spec(1))
    assert (generations.base, generations.on_trial, generations.goal) == (1, None, 2)


def test_candidate_beside_a_committed_generation_is_on_trial_and_changes_the_goal_when_committed() -> None:
    generations = Generations()
    generations.accept(spec(1))
    generations.commit()
    generations.accept(spec(2, workers=5))
    assert (generations.base, generations.on_trial, generations.goal) == (1, 2, 2)
    generations.commit()
    assert (generations.base, generations.on_trial, generations.goal) == (2, None, 5)


def test_dropped_candidate_leaves_nothing() -> None:
    generations = Generations()
    generations.accept(spec(1))
    generations.commit()
    generations.accept(spec(2, workers=5))
    generations.drop_candidate()
    assert generations.unused({1, 2}) == []
    assert generations.unused({1}) == [2]
    assert (generations.base, generations.on_trial, generations.goal) == (1, None, 2)
