"""How usual an answer's hidden states are: the density of a Gaussian around the training answers' (Lee et al. 2018, for
generated text Ren et al. 2023 and Vazhentsev et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibration_tuning.readout.likelihood import of_logprob
from calibration_tuning.readout.penalties import LEAST
from calibration_tuning.records import GradedAnswer
from evaluation.findings import Findings
from evaluation.passes.base import State
from evaluation.probing import scored, states_of


def density(splits: Mapping[str, Sequence[GradedAnswer]], findings: Findings, state: State) -> dict[str, np.ndarray]:
    """Log-odds [n] by split of exp(-d^2 / 2H), with d the Mahalanobis distance of an answer's states [H] from those of
    the training answers: the H-th root of its density over that at their mean.

    The covariance is shrunk (Ledoit and Wolf 2004), as there may be fewer answers than states have dimensions. NaN
    where there are fewer than ten training answers, and for answers whose states were not read. It knows no grades: it
    is a confidence only as far as unusual answers are wrong.
    """
    from sklearn.covariance import LedoitWolf

    known = states_of("answer_states", findings.training, findings, state)
    if len(known) < LEAST:
        return {split: np.full(len(rows), np.nan) for split, rows in splits.items()}
    gaussian = LedoitWolf().fit(known)

    def score(states: np.ndarray) -> np.ndarray:
        logs = -gaussian.mahalanobis(states) / (2 * states.shape[1])
        return np.array([of_logprob(float(value)) for value in logs])

    return {split: scored(rows, "answer_states", findings, state, score) for split, rows in splits.items()}
