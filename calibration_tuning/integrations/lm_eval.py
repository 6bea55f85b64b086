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
from calibration_tuning.config.templates import TemplateFailed, compiled
from calibration_tuning.errors import UserError
from calibration_tuning.grading.graders import GRADERS, grade
from calibration_tuning.metrics.calibration_error import ece as expected_calibration_error
from calibration_tuning.records import Question

Pair = tuple[float, float]
"""Confidence and correctness of an answer."""


class WithConfidence(Filter):
    """A filter of the harness: of each generated answer its text, the checkpoint's confidence in it, and its grade.

    checkpoint: a checkpoint's or a run's folder, or a hub repository. It judges; what answers is the harness's model.
    question, references, context: Jinja templates over the task's documents, as in a run's YAML. The question is what
    the checkpoint is asked about; it stands there without the harness's prompt around it. References are one accepted
    answer or a list of them.
    grader: a name of `calibration_tuning.grading.graders.GRADERS`.

    Raises `UserError` for an unknown grader, a template that does not fit the documents, and an empty question.
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
        self.checkpoint, self.grader, self.device = checkpoint, grader, device
        self.templates = {"question": question, "references": references}
        if context is not None:
            self.templates["context"] = context

    def apply(self, resps: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """`resps` [n] holds the answers of each document in `docs` [n]; the first one of each is judged."""
        answers = [replies[0] for replies in resps]
        if other := next((reply for reply in answers if not isinstance(reply, str)), None):
            raise UserError(f"a reply is {other!r}, not text; confidences are of tasks with output_type generate_until")
        questions = [self._question(number, doc) for number, doc in enumerate(docs)]
        model = CalibratedModel.from_pretrained(Path(self.checkpoint), device=self.device)
        texts, contexts = [q.question for q in questions], [q.context for q in questions]
        judged = model.judge_batch(texts, [answer.strip() for answer in answers], contexts)
        return [
            {"text": j.text, "confidence": j.confidence, "familiar": j.familiar, "correct": grade(q, j.text)}
            for q, j in zip(questions, judged, strict=True)
        ]

    def _question(self, number: int, doc: Mapping[str, Any]) -> Question:
        try:
            values = {name: compiled(template)(doc) for name, template in self.templates.items()}
        except (TemplateFailed, TemplateSyntaxError) as error:
            raise UserError(f"document {number}: {error}") from None
        given = values["references"]
        references = [str(item) for item in (given if isinstance(given, list | tuple) else [given])]
        context = str(values["context"]) if values.get("context") else None
        return Question(
            id=str(number),
            source="lm_eval",
            subject="",
            group=str(number),
            context=context,
            question=str(values["question"]),
            references=references,
            grader=self.grader,
        )


def scores(doc: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A document's metrics, from what `WithConfidence` made of its answer. They are logged with its sample.

    The harness takes means of `correct`, `confidence` and `brier`; `ece` is the pair that the function `ece` needs.
    """
    confidence, correct = results[0]["confidence"], results[0]["correct"]
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
