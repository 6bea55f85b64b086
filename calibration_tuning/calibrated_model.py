"""Use a tuned checkpoint: an answer with a probability that it is correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from calibration_tuning.checkpoint import Checkpoint, load_checkpoint
from calibration_tuning.errors import UserError
from calibration_tuning.generation import Decoding, generate_answers
from calibration_tuning.models import adapter_off, default_device
from calibration_tuning.scoring import score_answers


@dataclass(frozen=True)
class CalibratedAnswer:
    text: str
    confidence: float
    """Probability that the answer is correct, in [0, 1]."""


class CalibratedModel:
    """The adapter is off while answering, so tuning changes no answer, and on while judging.

    model = CalibratedModel.from_pretrained("runs/demo/checkpoint")
    model.answer("What is 47 times 83?")  # CalibratedAnswer(text='3428', confidence=0.09)
    model.confidence("What is 47 times 83?", "3901")
    """

    def __init__(self, checkpoint: Checkpoint, batch_size: int = 16) -> None:
        self.model = checkpoint.model
        self.prompt_format = checkpoint.prompt_format
        self.record = checkpoint.record
        self.probe = checkpoint.probe
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(
        cls, path_or_repo: str | Path, device: str | torch.device | None = None, trust_remote_code: bool = False
    ) -> CalibratedModel:
        """Load a checkpoint folder or a hub repository. Raises `UserError` if it is neither, or damaged."""
        checkpoint = load_checkpoint(_folder(path_or_repo), trust_remote_code=trust_remote_code)
        return cls(checkpoint.to(device or default_device()))

    def answer(self, question: str) -> CalibratedAnswer:
        """The model's greedy answer and how probable it is that it is correct."""
        return self.answer_batch([question])[0]

    def answer_batch(self, questions: Sequence[str]) -> list[CalibratedAnswer]:
        block = self.prompt_format.few_shot_ids(self.record.answer_few_shot)
        ids = [self.prompt_format.question_ids(question) for question in questions]
        with adapter_off(self.model):
            decoding = Decoding(self.record.max_new_tokens)
            answers = generate_answers(self.model, self.prompt_format, block, ids, decoding, self.batch_size)
        confidences = self._judge([[*q, *a.token_ids] for q, a in zip(ids, answers, strict=True)])
        return [CalibratedAnswer(a.text, c) for a, c in zip(answers, confidences, strict=True)]

    def confidence(self, question: str, answer: str) -> float:
        """Probability in [0, 1] that `answer`, from anywhere, is correct."""
        return self.confidence_batch([question], [answer])[0]

    def confidence_batch(self, questions: Sequence[str], answers: Sequence[str]) -> list[float]:
        pairs = zip(questions, answers, strict=True)
        return self._judge([self.prompt_format.question_ids(q) + self.prompt_format.answer_ids(a) for q, a in pairs])

    def _judge(self, sequences: list[list[int]]) -> list[float]:
        block = self.prompt_format.few_shot_ids(self.record.query_few_shot)
        scores = score_answers(self.model, self.prompt_format, block, sequences, self.batch_size, probe=self.probe)
        return [float(p) for p in self.record.calibrator(scores.logit)]


def _folder(path_or_repo: str | Path) -> Path:
    folder = Path(path_or_repo)
    if folder.exists():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.md"]
    try:
        return Path(snapshot_download(str(path_or_repo), allow_patterns=patterns))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path_or_repo}: neither a checkpoint folder nor a repository that can be fetched ({first})"
        ) from None
