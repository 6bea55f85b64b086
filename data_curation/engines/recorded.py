"""Answers made elsewhere, read from a file: production logs, another team's generations, a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, FiniteFloat, NonNegativeInt, ValidationError

from calibration_tuning.config.engines import RecordedEngine
from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.values import as_text, parsed
from data_curation.engines import Failure, Finished, Job
from data_curation.read_rows import READERS, Unreadable, is_file_path, read_file

BATCH = 1000
Text = Annotated[str, BeforeValidator(lambda value: value if value is None else as_text(value))]
"""Read as a question's own id and text are; one that is missing is refused."""


class _Row(BaseModel):
    id: Text
    answer: Text
    sample: Annotated[NonNegativeInt, BeforeValidator(lambda value: value or 0)] = 0
    # Csv files hold lists as text, and nothing where there is none.
    token_logprobs: Annotated[list[FiniteFloat], BeforeValidator(lambda value: parsed(value) or [])] = []


class Recorded:
    """One row per answer: `id`, `answer`, and optionally `sample` and `token_logprobs`. The id is the question's in its
    own file, or that with the set's name before it (`support/17`), as in records.

    Raises `UserError` naming file, row and field for rows that cannot be used, and an id that two sets have. A question
    that has no row fails; a file without a row for any question is refused.
    """

    def __init__(self, settings: RecordedEngine, job: Job) -> None:
        path = settings.path
        if not is_file_path(str(path)):
            raise UserError(f"{job.where}.path: {path} is none of {', '.join(READERS)} (.gz too)")
        self._path = path
        self._source_of: dict[str, str] = {}
        """By id without a set's name: the set whose question has taken it."""
        self._answers: dict[str, Answer] = {}
        for number, line in enumerate(read_file(path)):
            row = _checked(line, f"{path}, row {number}")
            ids = job.prompt_format.answer_ids(row.answer)
            if row.token_logprobs and len(row.token_logprobs) != len(ids):
                raise UserError(
                    f"{path}, row {number}, token_logprobs: {len(row.token_logprobs)} values, but the answer has "
                    f"{len(ids)} tokens with this model's tokenizer; fix them or leave them out"
                )
            key, answer = f"{row.id}#{row.sample}", Answer(row.answer, ids, row.token_logprobs)
            if self._answers.setdefault(key, answer) != answer:
                raise UserError(
                    f"{path}, row {number}, id: {row.id!r} has another answer above; remove one of the rows"
                )

    def batches(self, requests: Sequence[Request]) -> list[list[Request]]:
        if not any(map(self._of, requests)):
            ids = dict.fromkeys(request.question.id for request in requests)
            raise UserError(
                f"{self._path}: has answers for 0 of {len(ids)} questions (their ids are such as {next(iter(ids))})"
            )
        return [list(requests[start : start + BATCH]) for start in range(0, len(requests), BATCH)]

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> None:
        """There is no model to ask."""

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[list[Finished]]:
        missing = Failure("not among the recorded answers", lasting=True)
        for batch in batches:
            yield [(request, self._of(request) or missing) for request in batch]

    def _of(self, request: Request) -> Answer | None:
        if request.key in self._answers:
            return self._answers[request.key]
        question = request.question
        bare = question.id.removeprefix(f"{question.source}/")
        answer = self._answers.get(f"{bare}#{request.sample}")
        if answer is not None and self._source_of.setdefault(bare, question.source) != question.source:
            raise UserError(
                f"{self._path}, id: {bare!r} is a question of {self._source_of[bare]} and of {question.source}; write "
                f"{question.id!r} for the one that is meant"
            )
        return answer


def _checked(row: dict[str, Any] | Unreadable, where: str) -> _Row:
    if isinstance(row, Unreadable):
        raise UserError(f"{where}: {row}; fix or remove the row")
    try:
        return _Row.model_validate(row)
    except ValidationError as error:
        raise UserError(f"{where}{first_problem(error)}; fix or remove the row") from None
