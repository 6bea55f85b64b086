import pytest

from training.step_order import StepOrder


def test_an_epoch_sees_every_example_once_and_epochs_differ() -> None:
    plan = StepOrder(examples=10, batch_size=4, epochs=2, seed=0)
    assert plan.steps == 5
    stream = [i for step in range(plan.steps) for i in plan.step(step)]
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10] != stream[10:]
    assert stream[:10] != [i for step in range(5) for i in StepOrder(10, 4, 2, seed=1).step(step)][:10]


def test_a_step_depends_on_nothing_before_it() -> None:
    assert StepOrder(100, 8, 3, seed=5).step(17) == StepOrder(100, 8, 3, seed=5).step(17)


@pytest.mark.parametrize(("epochs", "steps"), [(0.1, 1), (0.5, 2), (1, 3)])
def test_parts_of_an_epoch(epochs: float, steps: int) -> None:
    assert StepOrder(9, 4, epochs, 0).steps == steps
