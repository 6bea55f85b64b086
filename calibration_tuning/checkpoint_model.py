"""The model of a loaded checkpoint and its prompts: it writes answers, reads them again, and judges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from calibration_tuning.arguments import Choices
from calibration_tuning.checkpoint import Checkpoint
from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.conversation import PLAIN, Conversation, Start
from calibration_tuning.errors import UserError
from calibration_tuning.lm.choosing import likeliest_choices
from calibration_tuning.lm.generation import Answer, Decoding, generate_answers
from calibration_tuning.lm.models import adapter_off, context_length
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.query import score_answers
from calibration_tuning.lm.reading import read_answers
from calibration_tuning.readout.stacked import Read
from calibration_tuning.records import Demonstration


class CheckpointModel:
    """What `CalibratedModel` asks of its model. Answers are written and read after `examples`, with the adapter off;
    the query is asked after the checkpoint's own graded answers, with the adapter on."""

    def __init__(self, checkpoint: Checkpoint, batch_size: int) -> None:
        self.model = checkpoint.model
        self.prompt_format = checkpoint.prompt_format
        self.record = checkpoint.record
        self.probe = checkpoint.probe
        self.readout = checkpoint.readout
        self.batch_size = batch_size
        self.examples = self.record.answer_few_shot
        """Questions with right answers that stand before every question that is answered; `show` of
        `CalibratedModel` replaces
        them."""
        self._format_with = lru_cache(maxsize=8)(checkpoint.prompt_format.with_system)
        self._block = lru_cache(maxsize=16)(self._encoded_block)

    def format_for(self, start: Start) -> PromptFormat:
        """How questions of this start are asked. Raises `UserError` where the chat template takes no system message."""
        return self.prompt_format if start.system is None else self._format_with(start.system)

    def _answers(self, start: Start, ids: list[list[int]], choices: list[Choices], longest: int) -> list[Answer]:
        block = self._block(start, tuple(self.examples))
        free = [i for i, choice_list in enumerate(choices) if choice_list is None]
        by_index: dict[int, Answer] = {}
        if free:
            decoding = Decoding(longest, self.record.multiline)
            rows = [ids[i] for i in free]
            answers = generate_answers(self.model, self.prompt_format, block, rows, decoding, self.batch_size)
            by_index = dict(zip(free, answers, strict=True))
        chosen = [i for i in range(len(ids)) if i not in by_index]
        if chosen:
            answers = self._chosen([ids[i] for i in chosen], [list(choices[i] or ()) for i in chosen], block)
            by_index |= zip(chosen, answers, strict=True)
        return [by_index[i] for i in range(len(ids))]

    def _chosen(self, questions: list[list[int]], choices: list[list[str]], block: list[int]) -> list[Answer]:
        encoded = [[self.prompt_format.answer_ids(text) for text in texts] for texts in choices]
        settings = self.batch_size, self.record.cloze
        return likeliest_choices(self.model, block, questions, choices, encoded, *settings)

    def _logits(
        self,
        questions: Sequence[str],
        answers: list[list[int]],
        start: Start = PLAIN,
        chosen: np.ndarray | None = None,
    ) -> tuple[np.ndarray, list[float | None]]:
        """Log-odds [n] of "correct", before the calibrator, and how familiar each answer is."""
        read = replace(self._read(questions, answers, start), chosen=chosen)
        if self.readout is None:
            return read.query, [None] * len(answers)
        known = self.readout.probe is not None
        return self.readout(read), [float(p) if known else None for p in self.readout.familiar(read)]

    def _read(self, questions: Sequence[str], answers: list[list[int]], start: Start = PLAIN) -> Read:
        """What the readout looks at: the query with the adapter on, and the untuned model's reading of the answers."""
        prompt_format, query = self.format_for(start), self._query(questions, answers, start)
        if self.readout is None:
            return Read(query, [[] for _ in answers], np.zeros((len(answers), 0), np.float32))
        ids = [prompt_format.answering_ids(question) for question in questions]
        block, layers = self._block(start, tuple(self.examples)), self.readout.record.layers
        with adapter_off(self.model):
            reading = read_answers(self.model, block, ids, answers, layers, self.batch_size, MAX_BATCH_TOKENS)
        return Read(query, reading.token_logprobs, reading.states)

    def _query(self, questions: Sequence[str], answers: list[list[int]], start: Start = PLAIN) -> np.ndarray:
        """Log-odds [n] of the uncertainty query, with the adapter on."""
        prompt_format = self.format_for(start)
        block = self._block(start, tuple(self.record.query_few_shot))
        judged = [prompt_format.judged_ids(question) for question in questions]
        sequences = [[*q, *a] for q, a in zip(judged, answers, strict=True)]
        scores = score_answers(self.model, prompt_format, block, sequences, self.batch_size, probe=self.probe)
        return scores.logit

    def _encoded_block(self, start: Start, shown: tuple[Demonstration, ...]) -> list[int]:
        """What stands before a question's text: the examples, and the turns before it."""
        return self.format_for(start).few_shot_ids(shown, start.earlier)

    def _fit_block(self, shown: Sequence[Demonstration]) -> None:
        """Raises `UserError` where these examples leave no room for an answer in the context."""
        block = len(self._block(PLAIN, tuple(shown)))
        room = context_length(self.model.config, self.prompt_format.tokenizer)
        if block + self.record.max_new_tokens + self.prompt_format.trace_room >= room:
            raise UserError(
                f"examples: are {block:,} tokens long, but the model reads {room:,}; give fewer or shorter ones"
            )

    def _fit_answer(self, name: str, asked: Conversation, choices: Choices, longest: int) -> int:
        """`_fit` for an answer that the model gives: one of `choices`, or a written one of at most `longest` tokens.
        Return the most tokens that it can have."""
        if choices is None:
            self._fit(name, asked, longest, True, self.prompt_format.trace_room)
            return longest
        longest = max(len(self.prompt_format.answer_ids(choice)) for choice in choices)
        self._fit(name, asked, longest, True)
        return longest

    def _fit(self, name: str, asked: Conversation, answer: int, is_read: bool, trace: int | None = None) -> None:
        """Raises `UserError` where a prompt of the question with an answer of `answer` tokens does not fit into the
        context: that of the query and, if `is_read`, that in which the model reads or writes the answer itself, after a
        trace of at most `trace` tokens (None: an empty one)."""
        prompt, start, text = self.format_for(asked.start), asked.start, asked.question
        block = self._block(start, tuple(self.record.query_few_shot))
        needed = len(block) + len(prompt.judged_ids(text)) + len(prompt.query_ids)
        if is_read:
            before = len(prompt.answering_ids(text)) if trace is None else len(prompt.question_ids(text)) + trace
            needed = max(needed, len(self._block(start, tuple(self.examples))) + before)
        room = context_length(self.model.config, self.prompt_format.tokenizer)
        if needed + answer > room:
            raise UserError(
                f"{name}: takes {needed + answer:,} tokens with the examples before it and its answer, more than the "
                f"{room:,} the model reads; shorten it"
            )
