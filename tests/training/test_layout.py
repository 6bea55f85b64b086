"""How a step's examples become passes, and how large these are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from training.examples import Example
from training.layout import ALIGNED, Layout, block_causal_mask
from training.step_order import StepOrder

EXAMPLES = [Example([1] * length, 1, 1.0, 1.0) for length in (10, 20, 30, 40)]


def layout(kind: Any = "padded", shared: bool = True, block: int = 80) -> Layout:
    return Layout(kind=kind, block=[1] * block, query_length=2, shared_block=shared)


def test_lengths_are_taken_of_the_examples_at_hand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a training set of thousands, a step looks at its own examples."""
    asked: list[int] = []
    width = Layout.width
    monkeypatch.setattr(Layout, "width", lambda self, length: (asked.append(length), width(self, length))[1])  # type: ignore[func-returns-value]
    rounds = layout().rounds(EXAMPLES[:3], 1000, 1)
    assert sorted(i for shares in rounds for share in shares for i in share) == [0, 1, 2]
    assert asked == [10, 20, 30]


@pytest.mark.parametrize(
    ("kind", "shared", "expected"),
    [
        # A shared block of 80 costs an eighth of its tokens in each padded row (80 // 8), and 80 once: 3 x 50 + 80.
        ("padded", True, 230),
        ("packed", True, 3 * 40 + 80),
        ("padded", False, 3 * 120),
        ("packed", False, 3 * 120),
    ],
)
def test_the_largest_pass_by_hand(kind: Any, shared: bool, expected: int) -> None:
    assert layout(kind, shared).planned([40] * 3, StepOrder(3, 3, 1, 0), 1000, 1) == (expected, 1, 1)


def test_the_largest_pass_keeps_to_the_budget_but_for_a_long_example() -> None:
    """420 tokens are left after the block: 4,000 make ten passes of ten examples. 600 are a pass by themselves."""
    assert layout("packed").planned([40] * 100, StepOrder(100, 100, 1, 0), 500, 1) == (480, 10, 1)
    assert layout("packed").planned([600, 40], StepOrder(2, 2, 1, 0), 500, 1) == (680, 2, 1)


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_the_passes_of_several_processes_by_hand(kind: Any) -> None:
    """Of nine examples on 8 processes, one process has two, and the others wait for it: 9 of 16 places are filled. 160
    examples of 200 tokens are 20 for each process, in both steps."""
    plain = layout(kind, block=0)
    assert plain.planned([40] * 9, StepOrder(9, 9, 1, 0), 1000, 8) == (80, 1, 9 / 16)
    assert plain.planned([200] * 320, StepOrder(320, 160, 2, 0), 8192, 8) == (4000, 1, 1)


def test_tokens_that_are_read_by_hand() -> None:
    assert layout(shared=True).tokens_read(32, 200, 8) == 32 * 200 + 8 * 80
    assert layout(shared=False).tokens_read(32, 200, 8) == 32 * (200 + 80)


@pytest.mark.parametrize("examples", [1, 2, 5])
def test_packed_rows_are_aligned_and_no_example_sees_what_fills_them(examples: int) -> None:
    rows = [Example(list(range(10, 30 + n)), 2, 1.0, 1.0) for n in range(examples)]
    batch = Layout("packed", list(range(7)), query_length=3, shared_block=True).batch(rows, 1.0, 1)
    width = 7 + sum(len(row.input_ids) for row in rows)
    assert batch["input_ids"].shape[1] % ALIGNED == 0
    assert batch["input_ids"].shape[1] - width < ALIGNED
    assert (batch["owner"][width:] == -2).all()
    assert batch["query_cols"].max() == width - 1
    seen = block_causal_mask(batch["owner"], torch.float32)[0, 0] == 0
    assert not seen[:width, width:].any()
    assert seen.any(-1).all(), "a row of a mask without a token is not a number"
    flash = Layout("packed", list(range(7)), 3, shared_block=False, custom_mask=False).batch(rows, 1.0, 1)
    assert flash["input_ids"].shape[1] == width + 7 * (examples - 1), "no mask, no padding"
