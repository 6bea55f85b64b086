"""Temperature on the token logits: found on the calibration split, with what it does on the test split."""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.token_calibration import TokenCalibration
from evaluation.evidence import Evidence
from evaluation.passes.base import BOTH, Finding, State, unpack
from evaluation.passes.tokens import TEMPERATURES
from evaluation.schema import AdaptiveTemperature, Numbers, TemperatureScan

SHOWN = ("full_ece", "nll", "vocabulary_brier", "top1_ece", "accuracy")


def temperature(evidence: Evidence) -> dict[State, TemperatureScan]:
    """What a temperature on the token logits does, before and after tuning.

    The `temperature` is that of the scan (steps of 0.05) with the lowest NLL on the calibration split's reference
    tokens. The test split's metrics are given at 1 and at that temperature. Top-1 accuracy cannot change, and is there
    to show that. `adaptive` is the checkpoint's own temperature for each position, of the untuned model."""
    scans = {state: _state(evidence, state) for state in BOTH}
    if evidence.record.token_temperature is not None:
        splits = [split for split in ("test", "evaluation") if split in evidence.splits]
        adaptive = {split: _adaptive(evidence, split) for split in splits}
        scans["before"] = scans["before"].model_copy(update={"adaptive": adaptive})
    return scans


def _adaptive(evidence: Evidence, split: str) -> AdaptiveTemperature:
    settings, seed = evidence.config.evaluation, evidence.config.seed
    rows, groups = dict(enumerate(evidence.splits[split])), evidence.groups(split)
    plain, scaled = (
        TokenCalibration(settings.num_bins).restored(None, evidence.findings.each("tokens", "before", rows, read))
        for read in (_plain_sums, _adaptive_sums)
    )
    count = settings.bootstrap_samples
    difference = scaled.difference_intervals(plain, count, seed, groups)
    return AdaptiveTemperature(
        n=plain.positions,
        plain=_shown(plain.compute_intervals(count, seed, groups)),
        scaled=_shown(scaled.compute_intervals(count, seed, groups)),
        difference={name: difference[name] for name in SHOWN},
    )


def _state(evidence: Evidence, state: State) -> TemperatureScan:
    count, seed, groups = evidence.config.evaluation.bootstrap_samples, evidence.config.seed, evidence.groups("test")
    fitted_on: list[float | None] = [point["nll"] or np.inf for point in _scan(evidence, "calibration", state)]
    best = int(np.argmin(np.array(fitted_on, dtype=np.float64)))
    test = _scan(evidence, "test", state)
    plain = _seen_at(evidence, state, TEMPERATURES.index(1.0))
    scaled = plain if TEMPERATURES[best] == 1.0 else _seen_at(evidence, state, best)
    difference = scaled.difference_intervals(plain, count, seed, groups)
    return TemperatureScan(
        temperature=TEMPERATURES[best],
        at_edge=best in (0, len(TEMPERATURES) - 1),
        at_1=_shown(plain.compute_intervals(count, seed, groups)),
        scaled=_shown(scaled.compute_intervals(count, seed, groups)),
        difference={name: difference[name] for name in SHOWN},
        scan={
            "temperature": list(TEMPERATURES),
            "nll_calibration": fitted_on,
            **{name: [point[name] for point in test] for name in ("nll", "full_ece", "accuracy")},
        },
    )


def _plain_sums(finding: Finding) -> np.ndarray:
    return unpack(finding["tokens"]["equal_width"])


def _adaptive_sums(finding: Finding) -> np.ndarray:
    return unpack(finding["adaptive"])


def _scan(evidence: Evidence, split: str, state: State) -> list[dict[str, float | None]]:
    """The metrics at each temperature; of the sums only the total is kept, as those of all questions are many."""
    rows = dict(enumerate(evidence.splits[split]))
    sums = evidence.findings.each("tokens", state, rows, lambda finding: np.stack([*map(unpack, finding["scan"])]))
    totals = sum(sums.values(), np.zeros((len(TEMPERATURES), 1)))
    bins = TokenCalibration(evidence.config.evaluation.num_bins)
    return [bins.restored(None, {0: total} if sums else {}).compute() for total in totals]


def _seen_at(evidence: Evidence, state: State, number: int) -> TokenCalibration:
    """What was seen of the test split at one temperature."""
    rows = dict(enumerate(evidence.splits["test"]))
    sums = evidence.findings.each("tokens", state, rows, lambda finding: unpack(finding["scan"][number]))
    return TokenCalibration(evidence.config.evaluation.num_bins).restored(None, sums)


def _shown(metrics: Numbers) -> Numbers:
    return {name: metrics[name] for name in SHOWN}
