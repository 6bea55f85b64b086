"""What one state of the model (adapter off or on) says about the test questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from calibration_tuning.answering import Answerer, requests_for
from calibration_tuning.batches import by_length, encode_prefix, forward_inputs, left_pad
from calibration_tuning.generation import Answer
from calibration_tuning.probe import Probe
from calibration_tuning.prompts import PromptFormat
from calibration_tuning.records import FewShot, GradedAnswer
from calibration_tuning.scoring import QueryScores, score_answers
from evaluation.token_calibration import TokenCalibration

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Measurement:
    query: QueryScores
    query_tokens: TokenCalibration
    """Full-ECE at the query position: the right verdict's token against the whole vocabulary."""
    reference_tokens: TokenCalibration
    """Full-ECE on the reference answers' tokens, given the few-shot block and the question."""


def measure(
    model: Any,
    prompt_format: PromptFormat,
    few_shot: FewShot,
    rows: Sequence[GradedAnswer],
    num_bins: int,
    batch_size: int,
    advance: Advance,
    probe: Probe | None = None,
) -> Measurement:
    """`advance(n)` is called as n more forward passes are done; there are two for each row."""
    no, yes = prompt_format.answer_tokens
    verdicts = torch.tensor([yes if row.correct >= 0.5 else no for row in rows])
    query_tokens = TokenCalibration(num_bins)
    query = score_answers(
        model,
        prompt_format,
        prompt_format.few_shot_ids(few_shot.query),
        [[*prompt_format.question_ids(row.text), *row.token_ids] for row in rows],
        batch_size,
        advance,
        on_logits=lambda logits, indices: query_tokens.update(logits, verdicts[indices], indices),
        probe=probe,
    )
    references = TokenCalibration(num_bins)
    for indices in _by_topic(rows).values():
        block = prompt_format.few_shot_ids(few_shot.before(rows[indices[0]]))
        _score_references(model, prompt_format, block, rows, indices, references, batch_size, advance)
    return Measurement(query, query_tokens, references)


@torch.no_grad()
def _score_references(
    model: Any,
    prompt_format: PromptFormat,
    block: list[int],
    rows: Sequence[GradedAnswer],
    indices: Sequence[int],
    into: TokenCalibration,
    batch_size: int,
    advance: Advance,
) -> None:
    prefix = encode_prefix(model, block)
    answers = [prompt_format.answer_ids(rows[i].target) for i in indices]
    # The last token predicts nothing, so it is not fed.
    sequences = [
        [*prompt_format.question_ids(rows[i].text), *answer][:-1] for i, answer in zip(indices, answers, strict=True)
    ]
    for batch in by_length(sequences, batch_size):
        padded = left_pad([sequences[j] for j in batch], prompt_format.tokenizer.pad_token_id)
        input_ids, mask = (t.to(model.device) for t in padded)
        longest = max(len(answers[j]) for j in batch)
        logits = model(**forward_inputs(input_ids, mask, prefix, model.config), logits_to_keep=longest).logits
        for row, j in enumerate(batch):
            targets = torch.tensor(answers[j])
            into.update(logits[row, longest - len(targets) :], targets, [indices[j]] * len(targets))
        advance(len(batch))


def answers_of(
    answerer: Answerer, few_shot: FewShot, rows: Sequence[GradedAnswer], max_new_tokens: int, advance: Advance
) -> list[Answer]:
    """Greedy answers to the rows' questions, as curation asked them."""
    requests = requests_for(rows, few_shot.by, max_new_tokens)
    answers: dict[str, Answer] = {}
    for found in answerer.answer(answerer.batches(requests)):
        answers.update((request.key, answer) for request, answer in found)
        advance(len(found))
    return [answers[request.key] for request in requests]


def average_token_probability(rows: Sequence[GradedAnswer]) -> np.ndarray:
    """p_avg: the mean probability of the answer's own tokens, [n]; 0 for an empty answer."""
    return np.array([float(np.exp(row.token_logprobs).mean()) if row.token_logprobs else 0.0 for row in rows])


def _by_topic(rows: Sequence[GradedAnswer]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        topics[row.topic].append(index)
    return topics
