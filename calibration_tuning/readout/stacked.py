"""The stacked readout: one confidence from the uncertainty query, the answer's likelihood and its hidden states.

Two blends share the work. `with_states` uses every signal; `stateless` leaves the hidden states out, because a probe on
them fails where questions are unlike those of training. An answer's familiarity says how far `with_states` is to be
trusted (as Ren et al. 2023 and Vazhentsev et al. 2023 do with densities).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from calibration_tuning.metrics.calibrators import AnyCalibrator
from calibration_tuning.readout.blend import Blend, Signals
from calibration_tuning.readout.likelihood import LIKELIHOODS, likelihoods
from calibration_tuning.readout.states import StateProbe

Array = np.ndarray
FILE = "readout.safetensors"
QUERY, STATES = "query", "states"
CHOSEN, WRITTEN = "is_chosen", "is_written"
"""1 or 0: two signals, as weights are not negative, for the base rates of both kinds of answer."""
WITHOUT_QUERY = (*LIKELIHOODS, CHOSEN, WRITTEN)
"""What the log-probabilities of an answer's tokens tell."""


class LeftOutScores(BaseModel):
    """Scores of a confidence on a source that it was not fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    brier: float
    auroc: float | None
    """None where all answers are correct, or none is."""
    ece: float | None
    """None for fewer than ten readings."""


class SourceScores(BaseModel):
    """Scores of a source's answers by blends that were fitted on the other sources alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int
    """Readings of its training and calibration answers."""
    accuracy: float
    familiar: float
    """Mean familiarity of its answers to a probe fitted on the other sources."""
    confidences: dict[str, LeftOutScores]
    """Of the base rate of the other sources, the blend of the likelihoods, the blend with the states whatever the
    familiarity, and the readout."""


class Trust(BaseModel):
    """How far the hidden states of an answer are trusted, by how familiar they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    familiar: Annotated[float, Field(gt=0)] = 0.25
    """Familiarity at and above which the hidden states are trusted fully."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of `with_states` for an answer that is not familiar at all."""

    def __call__(self, with_states: Array, stateless: Array, familiar: Array) -> Array:
        """Return log-odds [n] between those of both blends. `familiar` [n] is in [0, 1]."""
        share = self.weight + (1 - self.weight) * np.clip(familiar / self.familiar, 0, 1)
        return share * with_states + (1 - share) * stateless


class StackedRecord(BaseModel):
    """The stacked readout in `calibration.json`. The probe's arrays are in `readout.safetensors`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stacked"] = "stacked"
    schema_version: Literal[4] = 4
    layers: tuple[int, ...]
    """Decoder layers, counted from 1, whose states are read."""
    with_states: Blend
    stateless: Blend
    untuned: tuple[Blend, Blend]
    """`with_states` and `stateless` with the untuned query, to see what tuning adds."""
    trust: Trust
    stateless_calibrator: AnyCalibrator
    likelihood: Blend
    """Where only the log-probabilities of an answer's tokens are known."""
    likelihood_calibrator: AnyCalibrator
    n_probe: int
    """Readings of answers that the probe was fitted on; 0 where there were too few."""
    left_out: dict[str, SourceScores]
    """By source: what `trust` was chosen by. Empty where there is one source."""

    def without_states(
        self,
        token_logprobs: Sequence[Sequence[float]],
        query: Array | None = None,
        chosen: Array | None = None,
    ) -> Array:
        """Confidences [n] in [0, 1] of answers whose hidden states are out of reach, as behind a server.

        `token_logprobs` are the natural log-probabilities of each answer's tokens under the base model, `query` [n] the
        log-odds of the uncertainty query under the adapter; without them the likelihood speaks alone. `chosen` [n] as
        in `Read`.
        """
        signals = _likelihood_signals(token_logprobs, chosen)
        if query is None:
            return self.likelihood_calibrator(self.likelihood(signals))
        return self.stateless_calibrator(self.stateless(signals | {QUERY: np.asarray(query, np.float64)}))


@dataclass(frozen=True)
class Read:
    """What is read of n answers."""

    query: Array
    """Log-odds [n] of the uncertainty query."""
    token_logprobs: Sequence[Sequence[float]]
    states: Array
    """float32 [n, W]"""
    chosen: Array | None = None
    """Log-odds [n] of answers among the choices they were chosen from by likelihood; NaN for written ones. None where
    all were written."""


@dataclass(frozen=True)
class StackedReadout:
    record: StackedRecord
    probe: StateProbe | None

    def signals(self, read: Read) -> Signals:
        return signals_of(read, self.probe)

    def familiar(self, read: Read) -> Array:
        return familiarity(self.probe, read)

    def __call__(self, read: Read) -> Array:
        """Log-odds [n] of being correct, before the calibrator."""
        signals = self.signals(read)
        return self.record.trust(self.record.with_states(signals), self.record.stateless(signals), self.familiar(read))


def familiarity(probe: StateProbe | None, read: Read) -> Array:
    """In [0, 1], [n]; 1 where there is no probe that could be wrong."""
    return np.ones(len(read.query)) if probe is None else probe.familiar(read.states)


def signals_of(read: Read, probe: StateProbe | None) -> dict[str, Array]:
    """Log-odds [n] by signal."""
    signals = {QUERY: read.query, **_likelihood_signals(read.token_logprobs, read.chosen)}
    return signals if probe is None else signals | {STATES: probe.logit(read.states)}


def _likelihood_signals(token_logprobs: Sequence[Sequence[float]], chosen: Array | None) -> dict[str, Array]:
    columns = likelihoods(token_logprobs, list(LIKELIHOODS), chosen)
    is_chosen = np.zeros(len(token_logprobs)) if chosen is None else (~np.isnan(chosen)).astype(np.float64)
    return {**dict(zip(LIKELIHOODS, columns.T, strict=True)), CHOSEN: is_chosen, WRITTEN: 1 - is_chosen}


def save_arrays(probe: StateProbe | None, folder: Path) -> None:
    """Write the probe's arrays to `readout.safetensors` in `folder`; nothing if there is no probe."""
    from safetensors.numpy import save_file

    if probe is not None:
        arrays = {name: np.ascontiguousarray(value, np.float32) for name, value in vars(probe).items()}
        save_file(arrays, folder / FILE)


def load_readout(record: StackedRecord, folder: Path) -> StackedReadout:
    """The readout with its arrays. Raises ValueError or OSError where the file does not fit the record."""
    if not record.n_probe:
        return StackedReadout(record, None)
    from safetensors.numpy import load_file

    arrays: dict[str, Any] = load_file(folder / FILE)
    probe = StateProbe(**(arrays | {"bias": float(arrays["bias"].item())}))
    width = len(probe.weights)
    if probe.mean.shape != (width,) or probe.spread.shape != (width,) or probe.components.shape[1:] != (width,):
        raise ValueError(f"{folder / FILE}: its arrays are of different widths")
    return StackedReadout(record, probe)
