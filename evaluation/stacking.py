"""The checkpoint's stacked readout as a confidence estimator, with the tuned query and with the untuned one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from calibration_tuning.readout.fitting import cross_fitted, cross_fitted_blend
from calibration_tuning.readout.likelihood import chosen_log_odds
from calibration_tuning.readout.read_answers import ReadAnswers, together
from calibration_tuning.readout.stacked import WITHOUT_QUERY, Read, StackedReadout, signals_of
from calibration_tuning.records import GradedAnswer
from evaluation.findings import Findings
from evaluation.passes.base import State, unpack

Splits = Mapping[str, Sequence[GradedAnswer]]


def stacked(splits: Splits, findings: Findings, state: State, reading: str = "reading") -> dict[str, np.ndarray]:
    """Log-odds [n] by split. On the calibration split they are cross-fitted: no blend has seen the answer that it
    scores.

    `reading` is the pass that read the answers: `reading` behind the block that each answer was written behind,
    `reading_as_loaded` behind the block of a loaded checkpoint.
    """
    readout = _readout_of(findings, state)
    reads = {split: _read(rows, findings, state, reading) for split, rows in splits.items()}
    scores = {split: readout(read) for split, read in reads.items()}
    n = len(splits["calibration"])
    fold_scores = cross_fitted(readout, _read_twice(splits["calibration"], findings, state))
    scores["calibration"] = fold_scores[:n] if reading == "reading" else fold_scores[n:]
    return scores


def likelihood_blend(splits: Splits, findings: Findings, state: State) -> dict[str, np.ndarray]:
    """Like `stacked`, for answers of which only the tokens' log-probabilities are known."""
    record = _readout_of(findings, "after").record
    signals = {split: signals_of(_read(rows, findings, state), None) for split, rows in splits.items()}
    scores = {split: record.likelihood(values) for split, values in signals.items()}
    twice = _read_twice(splits["calibration"], findings, state)
    logit = cross_fitted_blend(signals_of(twice.read, None), list(WITHOUT_QUERY), twice)
    scores["calibration"] = logit[: len(splits["calibration"])]
    return scores


def _read_twice(rows: Sequence[GradedAnswer], findings: Findings, state: State) -> ReadAnswers:
    """Answers read behind both blocks, one reading after the other, as the blends are fitted in training. Blends that
    are fitted on one reading alone have other scales, and a calibrator of theirs would not fit the checkpoint's."""
    return together(*(_graded(rows, _read(rows, findings, state, name)) for name in ("reading", "reading_as_loaded")))


def _readout_of(findings: Findings, state: State) -> StackedReadout:
    readout = findings.readout
    assert readout is not None, "measured only where the checkpoint has a stacked readout"
    if state == "after":
        return readout
    with_states, stateless = readout.record.untuned
    return replace(
        readout, record=readout.record.model_copy(update={"with_states": with_states, "stateless": stateless})
    )


def _read(rows: Sequence[GradedAnswer], findings: Findings, state: State, reading: str = "reading") -> Read:
    known = [findings.need(reading, "before", row) for row in rows]
    query = [float(findings.need("query", state, row)["logit"]) for row in rows]
    states = np.stack([unpack(finding["states"]) for finding in known]) if known else np.zeros((0, 0), np.float32)
    chosen = np.array([chosen_log_odds(row.answer, row.choices, row.choice_logprobs) for row in rows])
    return Read(np.array(query), [finding["logprobs"] for finding in known], states, chosen)


def _graded(rows: Sequence[GradedAnswer], read: Read) -> ReadAnswers:
    correct, groups, sources = zip(*((row.correct, row.group, row.source) for row in rows), strict=True)
    return ReadAnswers(read, np.array(correct), np.array(groups), np.array(sources))
