"""Temperature on the token logits: found on the calibration split, with what it does on the test split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from evaluation.evidence import Evidence
from evaluation.passes.asked import State, unpack
from evaluation.passes.tokens import TEMPERATURES
from evaluation.token_calibration import TokenCalibration

SHOWN = ("full_ece", "nll", "vocabulary_brier", "top1_ece", "accuracy")


def temperature(evidence: Evidence) -> dict[str, Any]:
    """For `before` and `after`: the `temperature` of the scan (steps of 0.05) with the lowest NLL on the calibration
    split's reference tokens (`at_edge` if it is the first or last), the test split's metrics at 1 and at that
    temperature with their difference, and the `scan`. Top-1 accuracy cannot change; it is there to show that."""
    return {state: _state(evidence, state) for state in ("before", "after")}


def _state(evidence: Evidence, state: State) -> dict[str, Any]:
    count, seed, groups = evidence.config.evaluation.bootstrap_samples, evidence.config.seed, evidence.groups("test")
    fitted_on = [one["nll"] or np.inf for one in _scan(evidence, "calibration", state)]
    best = int(np.argmin(fitted_on))
    test = _scan(evidence, "test", state)
    plain, scaled = (_seen_at(evidence, state, number) for number in (TEMPERATURES.index(1.0), best))
    return {
        "temperature": TEMPERATURES[best],
        "at_edge": best in (0, len(TEMPERATURES) - 1),
        "at_1": _shown(plain.compute_intervals(count, seed, groups)),
        "scaled": _shown(scaled.compute_intervals(count, seed, groups)),
        "difference": _shown(scaled.difference_intervals(plain, count, seed, groups)),
        "scan": {
            "temperature": list(TEMPERATURES),
            "nll_calibration": fitted_on,
            **{name: [one[name] for one in test] for name in ("nll", "full_ece", "accuracy")},
        },
    }


def _scan(evidence: Evidence, split: str, state: State) -> list[dict[str, float | None]]:
    """The metrics at each temperature; of the sums only the total is kept, as those of all questions are many."""
    totals: list[dict[int, np.ndarray]] = [{} for _ in TEMPERATURES]
    for _, values in _sums(evidence, split, state):
        for total, own in zip(totals, values, strict=True):
            total[0] = total.get(0, 0.0) + own
    bins = TokenCalibration(evidence.config.evaluation.num_bins)
    return [bins.restored(None, total).compute() for total in totals]


def _seen_at(evidence: Evidence, state: State, number: int) -> TokenCalibration:
    """What was seen of the test split at one temperature."""
    own = {place: values[number].copy() for place, values in _sums(evidence, "test", state)}
    return TokenCalibration(evidence.config.evaluation.num_bins).restored(None, own)


def _sums(evidence: Evidence, split: str, state: State) -> Iterator[tuple[int, np.ndarray]]:
    """A row's place in its split, and its sums [temperature, ...]."""
    for place, row in enumerate(evidence.splits[split]):
        found = evidence.measured.of("tokens", state, row)
        if found is not None:
            yield place, unpack(found["scan"]).reshape(len(TEMPERATURES), -1)


def _shown(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in SHOWN}
