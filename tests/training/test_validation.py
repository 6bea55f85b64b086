"""A training that made the query worse says so."""

from __future__ import annotations

import pytest

from training.checkpoints import State
from training.validation import worse_than_untuned


@pytest.mark.parametrize(
    ("before", "after", "is_said"), [(0.19, [0.25, 0.24], True), (0.25, [0.26, 0.19], False), (0.2, [0.2], False)]
)
def test_worse_than_before(before: float, after: list[float], is_said: bool) -> None:
    history = [{"step": float(step), "brier": score} for step, score in enumerate([before, *after])]
    state = State(
        inputs_fingerprint="",
        step=len(after),
        processes=1,
        wandb_id="",
        best_score=min(after),
        history=history,
        best=[0.5] * 24,
    )
    said = worse_than_untuned(state, "brier")
    assert (said is not None) == is_said
    if said is not None:
        assert "brier is 0.240 at the best step and 0.190 before training (24 answers)" in said
