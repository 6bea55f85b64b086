"""Questions in, a model's answers out: requests of one few-shot block and kind are answered in batches by length."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.config.questions import Cloze
from calibration_tuning.lm.batches import by_length
from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.generation import Answer, Decoding, write_answers
from calibration_tuning.lm.likelihood import cloze_answer, continuation_logprobs
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.query import score_answers
from calibration_tuning.records import Demonstration, FewShotBy, Question, block_of


@dataclass(frozen=True)
class Request:
    """One answer that is wanted: the greedy one (`sample` 0) or the n-th sampled one."""

    question: Question
    block: str
    """Name of the few-shot block before the question."""
    max_new_tokens: int
    sample: int = 0

    @property
    def key(self) -> str:
        return f"{self.question.id}#{self.sample}"

    @property
    def kind(self) -> tuple[str, bool, bool, bool, int]:
        """Requests of one kind can share a batch."""
        question = self.question
        cloze = question.style == "cloze"
        return self.block, cloze, self.sample > 0, question.multiline, self.max_new_tokens


def requests_for(
    questions: Sequence[Question], few_shot_by: FewShotBy, max_new_tokens: int, samples: int = 0
) -> list[Request]:
    """A greedy request for each question, and `samples` more for those whose answer is written, not chosen."""
    return [
        Request(question, block_of(question, few_shot_by), question.max_new_tokens or max_new_tokens, sample)
        for question in questions
        for sample in range(1 + (0 if question.style == "cloze" else samples))
    ]


def uniforms(request: Request, seed: int, of_trace: int = 0) -> np.ndarray:
    """The random numbers of a sampled answer and the trace before it, [max_new_tokens + of_trace] in [0, 1); they
    depend on its key and the seed alone."""
    digest = hashlib.sha256(f"{seed}/{request.key}".encode()).digest()
    return np.random.default_rng(list(digest)).random(request.max_new_tokens + of_trace)


@dataclass(frozen=True)
class Answerer:
    """A model that answers requests. `batches` is the same on every run, so that an interrupted run can go on
    with the very batches, and hence the very rounding, of an uninterrupted one."""

    model: Any
    prompt_format: PromptFormat
    blocks: dict[str, list[Demonstration]]
    batch_size: int
    seed: int = 0
    temperature: float = 1.0
    cloze: Cloze = "per_character"
    max_batch_tokens: int = MAX_BATCH_TOKENS

    def batches(self, requests: Sequence[Request]) -> list[list[Request]]:
        """Requests of one kind together, longest first."""
        kinds: dict[tuple, list[Request]] = defaultdict(list)
        for request in requests:
            kinds[request.kind].append(request)
        batch_list = []
        for members in kinds.values():
            first = members[0]
            lengths = [len(self.prompt_format.question_ids(request.question)) for request in members]
            block = len(self.prompt_format.few_shot_ids(self.blocks.get(first.block, [])))
            copies = max(len(r.question.choices or ()) for r in members) if first.question.style == "cloze" else 1
            extra = block + first.max_new_tokens + self._of_trace(first)
            for indices in by_length(lengths, self.batch_size, self.max_batch_tokens, extra, copies):
                batch_list.append([members[i] for i in indices])
        return batch_list

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[Sequence[tuple[Request, Answer]]]:
        block, prefix = None, encode_prefix(self.model, [])
        for batch in batches:
            if batch[0].block != block:
                block = batch[0].block
                with torch.no_grad():
                    ids = self.prompt_format.few_shot_ids(self.blocks.get(block, []))
                    prefix = encode_prefix(self.model, ids)
            reply = self._chosen if batch[0].question.style == "cloze" else self._written
            yield list(zip(batch, reply(prefix, batch), strict=True))

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> Sequence[float]:
        """Probability of the uncertainty query's two answers together after each `question + answer` id sequence
        behind `block`, in [0, 1]."""
        return score_answers(self.model, self.prompt_format, block, sequences, self.batch_size).mass.tolist()

    def _of_trace(self, request: Request) -> int:
        """Tokens that a trace before the answer may have."""
        thinks = self.prompt_format.thinking == "on" and request.question.style != "cloze"
        return self.prompt_format.thinking_tokens if thinks else 0

    def _written(self, prefix: Any, batch: list[Request]) -> list[Answer]:
        first = batch[0]
        rows = [self.prompt_format.question_ids(request.question) for request in batch]
        decoding = Decoding(first.max_new_tokens, first.question.multiline, self.temperature)
        drawn = None
        if first.sample:
            of_trace = self._of_trace(first)
            drawn = torch.from_numpy(np.stack([uniforms(request, self.seed, of_trace) for request in batch]))
        return write_answers(self.model, self.prompt_format, prefix, rows, decoding, drawn)

    def _chosen(self, prefix: Any, batch: list[Request]) -> list[Answer]:
        choices = [list(request.question.choices or ()) for request in batch]
        ids = [[self.prompt_format.answer_ids(choice) for choice in texts] for texts in choices]
        rows = [self.prompt_format.answering_ids(request.question) for request in batch]
        logprobs = continuation_logprobs(self.model, prefix, rows, ids)
        return [cloze_answer(*texts, self.cloze) for texts in zip(choices, ids, logprobs, strict=True)]
