"""What a pass is, and the model that it asks."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from calibration_tuning.checkpoint import Checkpoint
from calibration_tuning.config.evaluation import EvaluationSettings
from calibration_tuning.config.questions import Cloze
from calibration_tuning.lm.caches import Prefix, encode_prefix
from calibration_tuning.lm.models import adapter_off
from calibration_tuning.records import Demonstration, FewShot, GradedAnswer
from evaluation.passes.rows import Answers
from evaluation.schema import State as State

BOTH: tuple[State, ...] = ("before", "after")
Finding = dict[str, Any]
"""What a pass found about one answer in one state of the model, as JSON-like values."""


@dataclass(frozen=True)
class PassContext:
    """The checkpoint, the few-shot blocks before questions, and the settings: what every pass needs."""

    checkpoint: Checkpoint
    few_shot: FewShot
    settings: EvaluationSettings
    max_new_tokens: int
    cloze: Cloze
    temperature: float
    """Of sampled answers."""
    seed: int
    _prefixes: dict[Any, Prefix] = field(default_factory=dict)

    @property
    def model(self) -> Any:
        return self.checkpoint.model

    @property
    def prompt(self) -> Any:
        return self.checkpoint.prompt_format

    def prefix(self, block: Sequence[Demonstration], state: State) -> Prefix:
        """The block's KV cache in that state of the model; the last few are kept."""
        key = (tuple(block), state)
        if key not in self._prefixes:
            while len(self._prefixes) >= 2:
                self._prefixes.pop(next(iter(self._prefixes)))
            with torch.no_grad(), self.in_state(state):
                self._prefixes[key] = encode_prefix(self.model, self.prompt.few_shot_ids(block))
        return self._prefixes[key]

    def in_state(self, state: State) -> Any:
        """Context in which the model is as it came (`before`), or tuned."""
        return adapter_off(self.model) if state == "before" else nullcontext()

    def question_and_answer(self, row: GradedAnswer) -> list[int]:
        return [*self.prompt.judged_ids(row), *row.token_ids]


@dataclass(frozen=True)
class Pass:
    measure: Callable[[PassContext, Sequence[GradedAnswer], State, Sequence[Demonstration]], list[Finding]]
    """(context, rows, state, block) -> values of each row. All rows have the same block of demonstrations before them;
    called in that state of the model."""
    block: Callable[[FewShot, GradedAnswer], Sequence[Demonstration]]
    rows: Callable[[Answers], list[GradedAnswer]]
    """The answers that it looks at, as far as it `applies` to them."""
    states: tuple[State, ...] = BOTH
    applies: Callable[[GradedAnswer], bool] = lambda row: True
    kind: Callable[[GradedAnswer], Any] = lambda row: None
    """Rows of one kind share a batch: those whose answers are written alike."""
    width: Callable[[GradedAnswer], int] = lambda row: 1
    """Sequences that a row takes in a batch."""
    settings: Callable[[EvaluationSettings], Any] = lambda settings: None
    """What of the settings the findings depend on."""
    reads_probe: bool = False
    """The method's probe, if there is one, has a say."""
    runs: Callable[[EvaluationSettings], bool] = lambda settings: False
    """Do these settings ask for the pass, whether or not an estimator needs it?"""


def pack(values: Any) -> str:
    """An array as compressed text; hidden states as float32, sums as float64, bit for bit."""
    array = np.ascontiguousarray(values)
    kind = "<f4" if array.dtype == np.float32 else "<f8"
    return kind[1:] + base64.b64encode(zlib.compress(array.astype(kind).tobytes())).decode()


def unpack(text: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text[2:])), dtype=f"<{text[:2]}")
