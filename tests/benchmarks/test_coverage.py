"""The simulations of coverage compute what the library does, and their intervals contain the truth."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import thresholds
from benchmarks.coverage import BINS, SHOWN, outcomes, resampled, true_values
from calibration_tuning.metrics.bootstrap import resamples
from calibration_tuning.metrics.confidence import point_metrics


def test_resampled_values_are_those_of_the_library() -> None:
    generator = np.random.default_rng(0)
    p, groups = generator.random(60), np.arange(60) // 3
    y = (generator.random(60) < p).astype(float)
    drawn = list(resamples(groups, 20, 1))
    counts = np.array([np.bincount(indices, minlength=60) for indices in drawn], dtype=float)
    found = resampled(p, y, counts, groups)
    for row, indices in enumerate(drawn):
        expected = point_metrics(p[indices], y[indices], BINS, SHOWN)
        assert {name: found[name].draws[row] for name in SHOWN} == pytest.approx(expected)


@pytest.mark.slow
def test_intervals_of_sixty_answers_contain_the_truth() -> None:
    """Percentiles of resolution do so in 0.4 of data sets."""
    truth = true_values("single answers")
    shares = sum(outcomes("single answers", 60, seed, truth) for seed in range(60)) / 60
    held, differences, small = (dict(zip(SHOWN, row, strict=True)) for row in shares)
    assert all(share >= 0.85 for share in held.values()), held
    assert all(share >= 0.85 for share in differences.values()), differences
    assert all(share <= 0.15 for share in small.values()), small


@pytest.mark.slow
def test_only_a_draw_by_size_gives_the_guarantee_for_an_answer() -> None:
    case = ("sharp", "easy singles, hard groups of six", 0.2)
    risks = thresholds.true_risk(*thresholds.made(np.random.default_rng(0), *case, 20_000)[:2])
    total = np.zeros((len(thresholds.METHODS), 2))
    for seed in range(60):
        drawn = thresholds.made(np.random.default_rng(seed), *case, thresholds.GROUPS)
        total += thresholds.outcomes(drawn, case[2], 1000 + seed, risks)
    violated = dict(zip(thresholds.METHODS, total[:, 0] / 60, strict=True))
    assert violated["one of each group"] > 0.4
    assert violated["by size"] <= 0.1
    assert violated["by size, two starts"] <= 0.1
