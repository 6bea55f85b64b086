"""Everything that the numbers and the report are made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

from calibration_tuning.checkpoint import CalibrationRecord
from calibration_tuning.config.evaluation import READOUT, EstimatorName, EvaluationSettings
from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.training import CalibratorName
from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.calibrators import AnyCalibrator
from calibration_tuning.metrics.comparison import Resampled
from calibration_tuning.metrics.confidence import (
    METRICS,
    BeforeAfter,
    confidence_metrics,
    resampled_metrics,
    side_by_side,
    with_intervals,
)
from calibration_tuning.metrics.cross_fitting import apply, fit_all
from calibration_tuning.records import GradedAnswer
from evaluation.baselines import subject_accuracy
from evaluation.estimators import ESTIMATORS
from evaluation.findings import Findings
from evaluation.passes.base import State
from evaluation.stacking import stacked

Array = np.ndarray
Side = tuple[str, State]
"""An estimator, and the model before or after tuning."""
BEFORE: Side = ("query", "before")
TUNED_QUERY: Side = ("query", "after")


@dataclass(frozen=True)
class Evidence:
    config: RunConfig
    manifest: Mapping[str, Any]
    record: CalibrationRecord
    splits: Mapping[str, Sequence[GradedAnswer]]
    """`calibration`, `test`, `evaluation` where there is one, and those of other models' answers (`test@NAME`)."""
    findings: Findings
    texts: Sequence[GradedAnswer] = ()
    """Windows of running text (`evaluation.text`)."""

    @cached_property
    def scores(self) -> dict[Side, dict[str, Array]]:
        """Log-odds by estimator and state, then by split; [n], NaN where an answer has none."""
        return {
            (name, state): ESTIMATORS[name].scores(self.splits, self.findings, state)
            for name in self.estimators
            for state in ESTIMATORS[name].states
        }

    @cached_property
    def fits(self) -> dict[Side, dict[str, AnyCalibrator]]:
        """Every kind of calibrator, fitted on the calibration split."""
        correct = self.correct("calibration")
        fits = {side: fit_all(scores["calibration"], correct) for side, scores in self.scores.items()}
        # What was stored with the checkpoint, and is applied by whoever loads it.
        fits[self.readout][self.kind] = self.record.calibrator
        return fits

    @property
    def estimators(self) -> tuple[EstimatorName, ...]:
        """Those of the settings, after those of the checkpoint's readout."""
        return measured(self.config.evaluation, self.record)

    @property
    def readout(self) -> Side:
        """The confidence that the checkpoint gives."""
        return TUNED_QUERY if self.record.readout is None else ("stacked", "after")

    @property
    def untuned_readout(self) -> Side:
        """The same readout of the untuned model."""
        return self.readout[0], "before"

    @property
    def kind(self) -> CalibratorName:
        """The kind of calibrator that the checkpoint stores."""
        return self.record.calibrator.kind  # type: ignore[return-value]

    def kind_of(self, side: Side) -> CalibratorName:
        """The kind of calibrator for a confidence in comparisons.

        It is the checkpoint's kind for its readout, tuned or untuned. If that is temperature scaling, other confidences
        have Platt scaling, because a temperature cannot shift log-odds, and no other confidence should lose for lack of
        a bias.
        """
        return "platt" if self.kind == "temperature" and side[0] != self.readout[0] else self.kind

    def correct(self, split: str) -> Array:
        return np.array([row.correct for row in self.splits[split]], dtype=np.float64)

    def groups(self, split: str) -> Array:
        """Questions that are resampled together."""
        return np.array([row.group for row in self.splits[split]])

    def subjects(self, split: str) -> Array:
        return np.array([row.topic for row in self.splits[split]])

    def confidence(self, side: Side, split: str, calibrator: str | None = None) -> Array:
        """Confidences [n], NaN where an answer has none: uncalibrated, or after a kind of calibrator."""
        logit = self.scores[side][split]
        if calibrator is None:
            return expit(logit)
        fitted = self.fits[side].get(calibrator)
        return np.full(len(logit), np.nan) if fitted is None else apply(fitted, logit)

    def before(self, split: str) -> Array:
        """The headline's confidence before tuning: the query, asked of the untuned model."""
        return self.confidence(BEFORE, split)

    def after(self, split: str) -> Array:
        """The headline's confidence after tuning, with the checkpoint's calibrator: what a user gets."""
        return apply(self.record.calibrator, self.scores[self.readout][split])

    @cached_property
    def scores_as_loaded(self) -> dict[str, Array]:
        """Log-odds [n] of the checkpoint's readout, by split, as a loaded checkpoint computes them.

        A loaded checkpoint puts the same block of demonstrations before every question. The query's block is the same
        everywhere, so only a stacked readout can differ from `scores`.
        """
        if self.record.readout is None:
            return dict(self.scores[self.readout])
        names = ("calibration", "test", "evaluation")
        splits = {split: rows for split, rows in self.splits.items() if split in names}
        return stacked(splits, self.findings, "after", "reading_as_loaded")

    def as_loaded(self, split: str) -> Array:
        """Like `after`, from `scores_as_loaded` and the calibrator fitted on them."""
        return apply(self.calibrator_as_loaded, self.scores_as_loaded[split])

    @property
    def calibrator_as_loaded(self) -> AnyCalibrator:
        return self.record.calibrator_as_loaded or self.record.calibrator

    def rated(
        self, confidence: Array, split: str, only: Collection[str] = tuple(METRICS), mask: Array | None = None
    ) -> dict[str, Interval]:
        """`confidence_metrics` of confidences [n] on a split, or on those of its answers where `mask` [n] is true."""
        return with_intervals(self._resampled(confidence, split, only, mask))

    def rated_against(
        self, confidence: Array, correct: Array, groups: Array, only: Collection[str]
    ) -> dict[str, Interval]:
        """`confidence_metrics` of confidences [n] in answers outside the splits. `correct` [n] is their correctness,
        and `groups` [n] says which are resampled together."""
        settings = self.config.evaluation
        return confidence_metrics(
            confidence, correct, settings.num_bins, self.config.seed, settings.bootstrap_samples, groups, only
        )

    def compared(
        self, before: Array, after: Array, split: str, only: Collection[str] = tuple(METRICS), mask: Array | None = None
    ) -> BeforeAfter:
        """`before_and_after` of confidences [n] on a split, or on those of its answers where `mask` [n] is true."""
        sides = (self._resampled(confidence, split, only, mask) for confidence in (before, after))
        return side_by_side(*sides)

    @cached_property
    def _known(self) -> dict[tuple[str, bytes, bytes], dict[str, Resampled]]:
        """Resampled metrics by split, mask and confidences, computed once. Two fifths are needed again, because every
        other confidence is compared with the checkpoint's."""
        return {}

    def _resampled(
        self, confidence: Array, split: str, only: Collection[str], mask: Array | None
    ) -> dict[str, Resampled]:
        selected = np.ones(len(self.splits[split]), dtype=bool) if mask is None else mask
        known = self._known.setdefault((split, selected.tobytes(), confidence[selected].tobytes()), {})
        if missing := [name for name in only if name not in known]:
            known |= resampled_metrics(
                confidence[selected],
                self.correct(split)[selected],
                num_bins=self.config.evaluation.num_bins,
                seed=self.config.seed,
                bootstrap_samples=self.config.evaluation.bootstrap_samples,
                groups=self.groups(split)[selected],
                only=missing,
                subjects=self.subjects(split)[selected],
            )
        return {name: known[name] for name in only}

    @property
    def base_rate(self) -> float:
        """Accuracy on the calibration split: what is known without looking at an answer."""
        return float(self.correct("calibration").mean())

    def subject_accuracy(self, split: str) -> Array:
        """[n], accuracy of each answer's subject on the calibration split: what only the kind of question tells."""
        return subject_accuracy(self.splits["calibration"], self.splits[split])


def measured(settings: EvaluationSettings, record: CalibrationRecord) -> tuple[EstimatorName, ...]:
    """The confidences to measure: those that a stacked readout consists of, and those that the settings ask for."""
    requested = (name for name in settings.estimators if name not in READOUT)
    return (*(READOUT if record.readout is not None else ()), *requested)
