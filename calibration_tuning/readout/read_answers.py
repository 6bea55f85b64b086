"""Graded answers with what was read of them, and the two blends that are fitted on such answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration_tuning.readout.blend import Blend, Signals, fit_blend
from calibration_tuning.readout.stacked import STATES, Read

Array = np.ndarray


@dataclass(frozen=True)
class ReadAnswers:
    """Answers of one split with their grades: `correct` [n] in [0, 1], `groups` [n] and `sources` [n]."""

    read: Read
    correct: Array
    groups: Array
    sources: Array

    def where(self, mask: Array) -> ReadAnswers:
        picked = np.flatnonzero(mask).tolist()
        read = Read(
            self.read.query[picked],
            [self.read.token_logprobs[i] for i in picked],
            self.read.states[picked],
            None if self.read.chosen is None else self.read.chosen[picked],
        )
        return ReadAnswers(read, self.correct[picked], self.groups[picked], self.sources[picked])


def together(first: ReadAnswers, second: ReadAnswers) -> ReadAnswers:
    """Both, one after the other."""
    reads = (first.read, second.read)
    return ReadAnswers(
        Read(
            np.concatenate([part.query for part in reads]),
            [row for part in reads for row in part.token_logprobs],
            np.concatenate([part.states for part in reads]),
            np.concatenate([part.chosen for part in reads]),  # type: ignore[misc]
        ),
        *(np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("correct", "groups", "sources")),
    )


def fit_blends(signals: Signals, correct: Array) -> tuple[Blend, Blend]:
    """Blends of all signals, and of those without the states."""
    names = [name for name in signals if name != STATES]
    stateless = fit_blend(signals, names, correct)
    return (fit_blend(signals, [*names, STATES], correct) if STATES in signals else stateless), stateless
