"""Use a tuned checkpoint: an answer with a probability that it is correct."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from calibration_tuning.arguments import Choices, as_answers, as_choices, token_limit, usable_device
from calibration_tuning.checkpoint import Checkpoint, checkpoint_folder, load_checkpoint
from calibration_tuning.checkpoint_model import CheckpointModel
from calibration_tuning.claims import Claim, JudgedClaims, claim_question, claim_spans
from calibration_tuning.conversation import (
    Asked,
    Messages,
    Start,
    as_asked,
    as_conversations,
    by_start,
)
from calibration_tuning.errors import UserError
from calibration_tuning.examples import as_examples
from calibration_tuning.lm.models import adapter_off
from calibration_tuning.readout.likelihood import chosen_log_odds
from calibration_tuning.records import Demonstration
from calibration_tuning.thresholds import Threshold, read_thresholds

UNFAMILIAR = 0.1
"""Below this, `CalibratedAnswer.familiar` is said in words: nine in ten of the held-out answers are nearer."""

NOT_OF_CLAIMS = (
    "this checkpoint was not tuned on claims, so their confidences may be no better than chance; "
    "docs/own_data.md says how to tune on claims"
)


@dataclass(frozen=True)
class CalibratedAnswer:
    text: str
    confidence: float
    """Probability that the answer is correct, in [0, 1]."""
    trusted: bool | None = None
    """True if the confidence reaches the model's `threshold`. None if the model has no threshold. Also None for a
    conversation unlike those of calibration: with another system message, or with earlier turns if no calibration
    question had any. With `examples` of the user it is only a hint, because the threshold was tested with the
    checkpoint's demonstrations."""
    familiar: float | None = None
    """How similar the answer's hidden states are to those of the training answers, in [0, 1]: the share of held-out
    answers that are at least as far from them. Near 0, the confidence relies on the query and the answer's likelihood
    alone. None if the readout uses no hidden states."""
    is_cut: bool = False
    """True if the answer is as long as answers may be, so that its end may be missing."""
    tokens: int = 0
    """Tokens of the answer, as the model wrote them or as its tokenizer reads them."""

    @property
    def is_unfamiliar(self) -> bool:
        """True if the answer is unlike those that the model was tuned on (`familiar` below `UNFAMILIAR`)."""
        return self.familiar is not None and self.familiar < UNFAMILIAR


class CalibratedModel(CheckpointModel):
    """Answers questions with a tuned checkpoint and says how probable each answer is to be correct. The adapter is off
    while answering, so tuning changes no answer, and on while judging.

    model = CalibratedModel.from_pretrained("runs/demo/checkpoint")
    model.answer("What is 47 times 83?")  # CalibratedAnswer(text='3428', confidence=0.09, trusted=False)
    model.answer("Where is Kyoto?", choices=["Japan", "China"])  # the likelier of the two
    model.confidence("What is 47 times 83?", "3901")
    model.answer("Who keeps it?", context="The harbour is kept by Ann.")  # about a passage
    model.answer(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}])

    A question that is empty or no text raises `UserError`. `context` is a passage to read, shown above the question;
    confidences hold for such questions if the model was tuned on questions with passages. `messages` is a conversation
    that ends with the user's question (`Conversation.of`): the model reads its earlier turns after the few-shot
    examples, and its system message in place of the checkpoint's (`model.system_prompt`). Confidences were measured
    with that system prompt, and with earlier turns only where the question sets have conversations.
    """

    def __init__(self, checkpoint: Checkpoint, threshold: Threshold | None = None, batch_size: int = 16) -> None:
        super().__init__(checkpoint, batch_size)
        self.threshold = threshold
        """What `trusted` goes by: its error rate, and what it did on the test questions."""

    @classmethod
    def from_pretrained(
        cls,
        path_or_repo: str | Path,
        device: str | torch.device | None = None,
        error_rate: float | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        dtype: str | None = None,
        attn_implementation: str | None = None,
        load_in_4bit: bool | None = None,
        examples: Sequence[Mapping[str, Any]] | None = None,
    ) -> CalibratedModel:
        """Load a checkpoint folder or a hub repository (at `revision`).

        The base model is loaded as it was for training, except for `dtype`, `attn_implementation` and `load_in_4bit`
        where given, which are as in a run's `model:` settings (for a machine without CUDA, say).

        `examples`: a few questions of your kind with their right answers, `[{"question": ..., "answer": ...}, ...]`
        (with `context` where there is a passage). They stand before every question in place of the checkpoint's own.

        `error_rate`: answers are `trusted` where at most this share of such answers is wrong; by default the lowest one
        that the checkpoint has a threshold for. Raises `UserError` if there is no such checkpoint or device, the
        checkpoint is damaged or of another base model than there is, or its evaluation has no threshold for that rate.
        """
        shown = None if examples is None else as_examples(examples)
        where = usable_device(device)
        folder = checkpoint_folder(path_or_repo, revision)
        changes = {"dtype": dtype, "attn_implementation": attn_implementation, "load_in_4bit": load_in_4bit}
        given = {name: value for name, value in changes.items() if value is not None}
        checkpoint = load_checkpoint(folder, trust_remote_code=trust_remote_code, changes=given, device=where)
        thresholds = read_thresholds(folder, checkpoint.record.inputs_fingerprint)
        if thresholds is None and error_rate is not None:
            raise UserError(f"{path_or_repo}: has no thresholds, as it was not evaluated; leave error_rate out")
        threshold = None if thresholds is None else thresholds.of(error_rate)
        model = cls(checkpoint, threshold)
        if shown is not None:
            model.show(shown)
        return model

    def show(self, examples: Iterable[Mapping[str, Any] | Demonstration]) -> None:
        """Put these before every question from now on, as `examples` of `from_pretrained`.

        Raises `UserError` for examples that cannot be read, leave no room in the context, or have answers of several
        lines where a text prompt ends an answer at the first.
        """
        shown = as_examples(examples)
        ends_at_a_line = self.prompt_format.style == "text" and not self.record.multiline
        for number, example in enumerate(shown, 1):
            if ends_at_a_line and "\n" in example.answer:
                raise UserError(f"example {number}, answer: has a line break, where answers to text prompts end")
        self._fit_block(shown)
        self.examples = shown

    def answer(
        self,
        question: str | None = None,
        choices: Choices = None,
        context: str | None = None,
        max_new_tokens: int | None = None,
        messages: Messages | None = None,
    ) -> CalibratedAnswer:
        """Return the model's greedy answer, or the likeliest of `choices`, with the probability that it is correct."""
        return self.answer_batch([as_asked(question, messages)], [choices], [context], max_new_tokens)[0]

    def answer_batch(
        self,
        questions: Sequence[Asked],
        choices: Sequence[Choices] | None = None,
        contexts: Sequence[str | None] | None = None,
        max_new_tokens: int | None = None,
    ) -> list[CalibratedAnswer]:
        """Answer n questions. `choices` [n]: the choices of each question, or None to let the model write; `contexts`
        [n]: the passage of each question, or None.

        `max_new_tokens` makes answers shorter than in curation, never longer: the confidence is of such answers. Raises
        `UserError`, before anything is answered, for an argument of a wrong type, and for a question that does
        not fit into the model's context.
        """
        conversations = as_conversations(questions, contexts)
        longest = token_limit(max_new_tokens, self.record.max_new_tokens)
        offered = as_choices(choices, len(conversations))
        for number, (conversation, given) in enumerate(zip(conversations, offered, strict=True)):
            self._fit_answer(f"question {number}", conversation, given, longest)
        answered: dict[int, CalibratedAnswer] = {}
        for start, members in by_start(conversations).items():
            part = [conversations[i].question for i in members], [offered[i] for i in members]
            answered |= zip(members, self._answered(start, *part, longest), strict=True)
        return [answered[i] for i in range(len(conversations))]

    def confidence(
        self,
        question: str | None = None,
        answer: str | None = None,
        context: str | None = None,
        messages: Messages | None = None,
    ) -> float:
        """Probability in [0, 1] that `answer`, from anywhere, is correct."""
        if answer is None:
            raise UserError("answer: is missing; pass the answer to judge")
        return self.confidence_batch([as_asked(question, messages)], [answer], [context])[0]

    def confidence_batch(
        self, questions: Sequence[Asked], answers: Sequence[str], contexts: Sequence[str | None] | None = None
    ) -> list[float]:
        """Return the probability in [0, 1] that each of the n answers is correct. See `judge_batch`."""
        return [judged.confidence for judged in self.judge_batch(questions, answers, contexts)]

    def judge_batch(
        self, questions: Sequence[Asked], answers: Sequence[str], contexts: Sequence[str | None] | None = None
    ) -> list[CalibratedAnswer]:
        """Return the n given answers (from any source), each with its confidence and whether to trust it. Raises
        `UserError` as `answer_batch` does."""
        conversations = as_conversations(questions, contexts)
        texts = as_answers(answers, len(conversations))
        ids = [self.prompt_format.answer_ids(text) for text in texts]
        for number, (conversation, tokens) in enumerate(zip(conversations, ids, strict=True)):
            self._fit(f"question {number}", conversation, len(tokens), self.readout is not None)
        judged: dict[int, CalibratedAnswer] = {}
        for start, members in by_start(conversations).items():
            part = [conversations[i].question for i in members], [texts[i] for i in members], [ids[i] for i in members]
            judged |= zip(members, self._judged(start, *part), strict=True)
        return [judged[i] for i in range(len(conversations))]

    def check(
        self,
        question: Asked,
        choices: Choices = None,
        context: str | None = None,
        answer: str | None = None,
        claims: bool = False,
    ) -> None:
        """Raise `UserError` if the question cannot be answered, or `answer` judged, and with `claims` its claims: the
        prompt has to fit into the model's context. Nothing is asked of the model."""
        (asked,) = as_conversations([question], [context])
        longest = self.record.max_new_tokens
        if answer is None:
            (given,) = as_choices([choices], 1)
            longest = self._fit_answer("question", asked, given, longest)
        else:
            longest = len(self.prompt_format.answer_ids(answer))
            self._fit("question", asked, longest, self.readout is not None)
        if claims:
            # The whole answer is read before each of its claims.
            claim = replace(asked, question=claim_question(asked.question, answer or ""))
            self._fit("question with its claims", claim, longest if answer else 2 * longest, False)

    def _answered(
        self, start: Start, questions: list[str], choices: list[Choices], longest: int
    ) -> list[CalibratedAnswer]:
        prompt = self.format_for(start)
        ids = [
            prompt.question_ids(question) if choice_list is None else prompt.answering_ids(question)
            for question, choice_list in zip(questions, choices, strict=True)
        ]
        with adapter_off(self.model):
            answers = self._answers(start, ids, choices, longest)
        # Answers that end by themselves end with a token more, which is not among theirs.
        cut = [given is None and len(a.token_ids) >= longest for a, given in zip(answers, choices, strict=True)]
        chosen = [
            chosen_log_odds(answer.text, given, answer.choice_logprobs)
            for answer, given in zip(answers, choices, strict=True)
        ]
        texts, token_ids = [a.text for a in answers], [a.token_ids for a in answers]
        judged = self._judged(start, questions, texts, token_ids, np.array(chosen))
        return [replace(answer, is_cut=is_cut) for answer, is_cut in zip(judged, cut, strict=True)]

    def claims(self, question: Asked, answer: str, context: str | None = None) -> JudgedClaims:
        """Split a long `answer`, from anywhere, into sentences, and judge each with the whole answer to read.

        A claim's confidence comes from the uncertainty query alone, because the likelihood of a sentence that the
        model has just read says nothing. With `training.readout: query`, the checkpoint's calibrator is applied. It
        was fitted on claims if the checkpoint was tuned on claims (docs/own_data.md), otherwise on whole answers. With
        any other readout, the confidence is the uncalibrated probability of the query, and a warning says that it need
        not be better than chance. Raises `UserError` for an answer without letters and digits.
        """
        (asked,) = as_conversations([question], [context])
        as_answers([answer], 1)
        spans = claim_spans(answer)
        if not spans:
            raise UserError("answer: holds no sentence to judge")
        texts = [answer[start:end] for start, end in spans]
        ids = [self.prompt_format.answer_ids(text) for text in texts]
        if self.readout is not None:
            warnings.warn(NOT_OF_CLAIMS, RuntimeWarning, stacklevel=2)
        claim = claim_question(asked.question, answer)
        self._fit("answer", replace(asked, question=claim), max(map(len, ids)), False)
        logits = self._query([claim] * len(texts), ids, asked.start)
        confidences = self._calibrated(logits) if self.readout is None else expit(logits).tolist()
        judged = zip(texts, spans, confidences, strict=True)
        return JudgedClaims([Claim(text, *span, confidence) for text, span, confidence in judged])

    def _judged(
        self,
        start: Start,
        questions: Sequence[str],
        texts: Sequence[str],
        token_ids: list[list[int]],
        chosen: np.ndarray | None = None,
    ) -> list[CalibratedAnswer]:
        logits, familiar = self._logits(questions, token_ids, start, chosen)
        trusted = self._trusted(logits) if self._is_as_tuned(start) else [None] * len(logits)
        confidences = self._calibrated(logits)
        return [
            CalibratedAnswer(text, confidences[i], trusted[i], familiar[i], tokens=len(token_ids[i]))
            for i, text in enumerate(texts)
        ]

    def _is_as_tuned(self, start: Start) -> bool:
        as_calibrated = self.record.has_conversations or not start.earlier
        return as_calibrated and start.system in (None, self.prompt_format.system_prompt)

    def _calibrated(self, logits: np.ndarray) -> list[float]:
        as_loaded = self.record.calibrator_as_loaded
        shown = as_loaded is not None and self.examples == self.record.answer_few_shot
        return [float(p) for p in (as_loaded if shown else self.record.calibrator)(logits)]  # type: ignore[misc]

    def _trusted(self, logits: np.ndarray) -> list[bool | None]:
        # Thresholds are of raw confidences: calibrators with steps make ties of what they tell apart.
        least = self.threshold and self.threshold.threshold
        return [None if least is None else bool(raw >= least) for raw in expit(logits)]
