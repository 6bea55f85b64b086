"""Confidences, Brier score and ECE in the results of lm-evaluation-harness, for answers that its models generate.

A task names two functions of this module in its YAML (docs/integrations.md has all of it):

    filter_list:
      - name: calibrated
        filter:
          - function: !function calibration_tuning.integrations.lm_eval.WithConfidence
            checkpoint: runs/demo
            question: "{{ question }}"
            references: "{{ answers }}"
    process_results: !function calibration_tuning.integrations.lm_eval.scores

The harness finds them by their names, so nothing is registered. `calibration-tuning score` reads the logged samples.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateSyntaxError

from calibration_tuning.extras import pip_install

try:
    from lm_eval.api.filter import Filter
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"this needs {error.name}: {pip_install('lm-eval')}") from None

from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.checkpoint import checkpoint_folder, read_record
from calibration_tuning.choice_labels import answer_texts
from calibration_tuning.config.templates import TemplateFailed, compiled
from calibration_tuning.errors import UserError
from calibration_tuning.grading.graders import GRADERS, grade
from calibration_tuning.metrics.calibration_error import ece as expected_calibration_error
from calibration_tuning.records import Question
from calibration_tuning.values import NotText, as_text

Pair = tuple[float, float]
"""Confidence and correctness of an answer."""


class WithConfidence(Filter):
    """A filter of the harness: of each generated answer its text, the checkpoint's confidence in it, and its grade.

    checkpoint: a checkpoint's or a run's folder, or a hub repository. It judges; what answers is the harness's model.
    question, references, context: Jinja templates over the task's documents, as in a run's YAML. The question is what
    the checkpoint is asked about; it stands there without the harness's prompt around it. References are one accepted
    answer, a list of them, or a struct with aliases (TriviaQA's), as curation reads them.
    grader: a name of `calibration_tuning.grading.graders.GRADERS`.

    Raises `UserError` for an unknown grader and a checkpoint that is not there, before its weights are loaded; for a
    template that does not fit the documents; and for a document without a question or without an accepted answer.
    """

    def __init__(
        self,
        checkpoint: str,
        question: str,
        references: str,
        context: str | None = None,
        grader: str = "exact",
        device: str | None = None,
    ) -> None:
        super().__init__()
        if grader not in GRADERS:
            raise UserError(f"grader {grader!r}: not a grader; known: {', '.join(GRADERS)}")
        read_record(checkpoint_folder(checkpoint))
        self.checkpoint, self.grader, self.device = checkpoint, grader, device
        self.templates = {"question": question, "references": references}
        if context is not None:
            self.templates["context"] = context

    def apply(self, resps: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """`resps` [n] holds the answers of each document in `docs` [n]; the first one of each is judged.

        A document that does not fit into the checkpoint's context has the confidence NaN. A warning names the first of
        them and counts them.
        """
        answers = [replies[0] for replies in resps]
        if other := next((reply for reply in answers if not isinstance(reply, str)), None):
            raise UserError(f"a reply is {other!r}, not text; confidences are of tasks with output_type generate_until")
        questions = [self._question(number, doc) for number, doc in enumerate(docs)]
        model = CalibratedModel.from_pretrained(Path(self.checkpoint), device=self.device)
        asked = [(question, answer.strip()) for question, answer in zip(questions, answers, strict=True)]
        too_long = _too_long(model, asked)
        fitting = [pair for number, pair in enumerate(asked) if number not in too_long]
        texts, contexts = [q.question for q, _ in fitting], [q.context for q, _ in fitting]
        judged = iter(model.judge_batch(texts, [answer for _, answer in fitting], contexts))
        rows = []
        for number, (question, answer) in enumerate(asked):
            reply = None if number in too_long else next(judged)
            fields = {"confidence": reply.confidence if reply else math.nan, "familiar": reply and reply.familiar}
            rows.append({"text": answer, **fields, "correct": grade(question, answer)})
        return rows

    def _question(self, number: int, doc: Mapping[str, Any]) -> Question:
        try:
            values = {name: compiled(template)(doc) for name, template in self.templates.items()}
        except (TemplateFailed, TemplateSyntaxError) as error:
            raise UserError(f"document {number}: {error}") from None
        read: dict[str, Any] = {}
        for name, value in values.items():
            try:
                read[name] = list(filter(None, answer_texts(value))) if name == "references" else as_text(value)
            except NotText as error:
                raise UserError(f"document {number}, {name}: {error}") from None
            if not read[name] and name != "context":
                raise UserError(f"document {number}, {name}: is empty")
        return Question(
            id=str(number),
            source="lm_eval",
            subject="",
            group=str(number),
            context=read.get("context") or None,
            question=read["question"],
            references=read["references"],
            grader=self.grader,
        )


def _too_long(model: CalibratedModel, asked: Sequence[tuple[Question, str]]) -> set[int]:
    """The numbers of the documents that the checkpoint cannot read as a whole, with a warning."""
    problems = {}
    for number, (question, answer) in enumerate(asked):
        try:
            model.check(question.question, context=question.context, answer=answer)
        except UserError as error:
            problems[number] = error
    if problems:
        first, problem = next(iter(problems.items()))
        print(
            f"warning: {len(problems)} of {len(asked)} documents have no confidence and count in no metric; document "
            f"{first}: {problem}",
            file=sys.stderr,
        )
    return {*problems}


def scores(doc: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A document's metrics, from what `WithConfidence` made of its answer. They are logged with its sample.

    The harness takes means of `correct`, `confidence` and `brier`; `ece` is the pair that the function `ece` needs.
    A document without a confidence (NaN) has no metrics, so it counts in none of them.
    """
    confidence, correct = results[0]["confidence"], results[0]["correct"]
    if math.isnan(confidence):
        return {}
    return {
        "correct": correct,
        "confidence": confidence,
        "brier": (confidence - correct) ** 2,
        "ece": (confidence, correct),
    }


def ece(pairs: Sequence[Pair]) -> float:
    """An aggregation of the harness: the ECE of ten equal-width bins; NaN for fewer than ten answers."""
    confidence, correct = np.array(pairs, dtype=np.float64).T
    value = expected_calibration_error(confidence, correct)
    return float("nan") if value is None else value
