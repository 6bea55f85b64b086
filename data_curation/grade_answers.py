"""Every answer gets its grade; a second grader looks at a sample of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.grading.graders import code_outcome, grade
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.records import GradedAnswer, Question, Sample
from calibration_tuning.runs.processes import is_first_process
from calibration_tuning.runs.progress import progress
from calibration_tuning.runs.threads import available_cores
from data_curation.duplicates import Dropped, dropped
from data_curation.engines import Failure
from data_curation.judge import judge

Pair = tuple[Question, str]


def grade_answers(
    config: RunConfig, requests: Sequence[Request], results: Mapping[str, Answer | Failure], inputs: str
) -> tuple[list[GradedAnswer], list[Dropped]]:
    """Graded answers in the order of `requests`, and the questions without an answer or a verdict.

    All processes share the judge's work; the result is whole in the first process only.
    """
    answered = [(request, result) for request in requests if isinstance(result := results[request.key], Answer)]
    grades = grade_pairs(config, [(request.question, answer.text) for request, answer in answered], inputs)
    by_key = {request.key: (answer, value) for (request, answer), value in zip(answered, grades, strict=True)}
    samples: dict[str, list[Sample]] = {}
    for request, answer in answered:
        value = by_key[request.key][1]
        if request.sample and value is not None:
            drawn = Sample(
                answer=answer.text, token_ids=answer.token_ids, token_logprobs=answer.token_logprobs, correct=value
            )
            samples.setdefault(request.question.id, []).append(drawn)
    graded: list[GradedAnswer] = []
    drops: list[Dropped] = []
    for request in (request for request in requests if not request.sample):
        question, result = request.question, results[request.key]
        if isinstance(result, Failure):
            drops.append(dropped(question, "no_answer", result.reason))
        elif by_key[request.key][1] is None:
            drops.append(dropped(question, "unreadable_verdict"))
        else:
            answer, value = by_key[request.key]
            graded.append(_record(question, answer, value, samples.get(question.id, [])))
    return graded, drops


def grade_pairs(config: RunConfig, pairs: Sequence[Pair], inputs: str) -> list[float | None]:
    """Correctness of each (question, answer) by the question's grader; None without a readable verdict."""
    grades: list[float | None] = [None] * len(pairs)
    judged = [i for i, (question, _) in enumerate(pairs) if question.grader == "judge"]
    if judged and config.curation.judge is not None:
        for i, value in zip(judged, judge(config.curation.judge, [pairs[i] for i in judged], inputs), strict=True):
            grades[i] = value
    if not is_first_process():
        return grades
    run = [i for i, (question, _) in enumerate(pairs) if question.grader == "code"]
    for i, value in zip(run, code_grades([pairs[i] for i in run]), strict=True):
        grades[i] = value
    elsewhere = {*judged, *run}
    for i, (question, answer) in enumerate(pairs):
        if i not in elsewhere:
            grades[i] = grade(question, answer)
    return grades


def code_grades(pairs: Sequence[Pair]) -> list[float]:
    """Run the programs on all cores that this process may use. Their time limit is of the clock, so one that ran out of
    time beside others runs once more by itself: a slow machine is no wrong answer."""
    if not pairs:
        return []
    with ThreadPoolExecutor(available_cores()) as pool, progress(len(pairs), "running code", "programs") as bar:
        verdicts = []
        for outcome in pool.map(lambda pair: code_outcome(*pair), pairs):
            verdicts.append(outcome.verdict)
            bar.update(1)
    slow = [i for i, verdict in enumerate(verdicts) if verdict == "timed_out"]
    with progress(len(slow), "running slow code alone", "programs") as bar:
        for i in slow:
            verdicts[i] = code_outcome(*pairs[i]).verdict
            bar.update(1)
    return [float(verdict == "passed") for verdict in verdicts]


def second_grades(
    config: RunConfig, requests: Sequence[Request], results: Mapping[str, Answer | Failure], inputs: str
) -> dict[str, float | None]:
    """The second grader's grades of a random sample of greedy answers, by question id; empty where none is asked for.

    The sample is drawn before the first grades are known, so that all processes draw the same.
    """
    settings = config.curation.second_grader
    if settings is None:
        return {}
    candidates = sorted(
        (
            (request.question, result.text)
            for request in requests
            if not request.sample
            and request.question.grader != settings.grader
            and isinstance(result := results[request.key], Answer)
        ),
        key=lambda pair: pair[0].id,
    )
    drawn = random.Random(config.seed).sample(candidates, min(settings.sample, len(candidates)))
    pairs = [(question.model_copy(update={"grader": settings.grader}), text) for question, text in drawn]
    return {question.id: grade for (question, _), grade in zip(pairs, grade_pairs(config, pairs, inputs), strict=True)}


def agreement(graded: Sequence[GradedAnswer], second: Mapping[str, float | None]) -> dict[str, Any]:
    """Agreement of two graders and Cohen's kappa (Cohen 1960), overall and `by_grader` who graded first. Kappa is None
    where both graders give the same verdict to all answers."""
    rows = [row for row in graded if row.id in second]
    graders = sorted({row.grader for row in rows})
    by_grader = {name: _agreement([row for row in rows if row.grader == name], second) for name in graders}
    return {**_agreement(rows, second), "by_grader": by_grader}


def _agreement(rows: Sequence[GradedAnswer], second: Mapping[str, float | None]) -> dict[str, Any]:
    from sklearn.metrics import cohen_kappa_score

    verdicts = [(row.correct >= 0.5, again >= 0.5) for row in rows if (again := second[row.id]) is not None]
    first, other = [pair[0] for pair in verdicts], [pair[1] for pair in verdicts]
    return {
        "n": len(verdicts),
        "unreadable": len(rows) - len(verdicts),
        "agreement": sum(a == b for a, b in verdicts) / len(verdicts) if verdicts else None,
        "kappa": float(cohen_kappa_score(first, other)) if len({*first, *other}) == 2 else None,
        "correct_by_first": sum(first) / len(verdicts) if verdicts else None,
        "correct_by_second": sum(other) / len(verdicts) if verdicts else None,
    }


def _record(question: Question, answer: Answer, correct: float | None, samples: list[Sample]) -> GradedAnswer:
    return GradedAnswer.model_validate(
        {
            **question.model_dump(),
            "answer": answer.text,
            "token_ids": answer.token_ids,
            "token_logprobs": answer.token_logprobs,
            "choice_logprobs": answer.choice_logprobs,
            "correct": correct,
            "samples": samples,
            "trace": answer.trace,
            "trace_tokens": answer.trace_tokens,
        }
    )
