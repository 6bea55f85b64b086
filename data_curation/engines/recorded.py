"""Answers made elsewhere, read from a file: production logs, another team's generations, a test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, FiniteFloat, NonNegativeInt, ValidationError

from calibration_tuning.config.engines import RecordedEngine
from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from data_curation.engines import Failure, Finished, Job
from data_curation.read_rows import READERS, Unreadable, is_file_path, read_file

BATCH = 1000


def _given(value: Any) -> Any:
    """Csv files hold lists as JSON text, and nothing where there is none."""
    return json.loads(value or "[]") if isinstance(value, str) else value or []


class _Row(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str
    answer: str
    sample: Annotated[NonNegativeInt, BeforeValidator(lambda value: value or 0)] = 0
    token_logprobs: Annotated[list[FiniteFloat], BeforeValidator(_given)] = []


class Recorded:
    """One row per answer: `id` (the question's, as in records), `answer`, and optionally `sample` and `token_logprobs`.

    Raises `UserError` naming file, row and field for rows that cannot be used. A question that has no row fails.
    """

    def __init__(self, settings: RecordedEngine, job: Job) -> None:
        path = settings.path
        if not is_file_path(str(path)):
            raise UserError(f"curation.engine.path: {path} is none of {', '.join(READERS)} (.gz too)")
        self._answers: dict[str, Answer] = {}
        for number, line in enumerate(read_file(path)):
            row = _checked(line, f"{path}, row {number}")
            text = row.answer.strip()
            ids = job.prompt_format.answer_ids(text) if text else []
            if row.token_logprobs and len(row.token_logprobs) != len(ids):
                raise UserError(
                    f"{path}, row {number}, token_logprobs: {len(row.token_logprobs)} values, but the answer has "
                    f"{len(ids)} tokens with this model's tokenizer; mend them or leave them out"
                )
            key, answer = f"{row.id}#{row.sample}", Answer(text, ids, row.token_logprobs)
            if self._answers.setdefault(key, answer) != answer:
                raise UserError(
                    f"{path}, row {number}, id: {row.id!r} has another answer above; remove one of the rows"
                )

    def batches(self, requests: Sequence[Request]) -> list[list[Request]]:
        return [list(requests[start : start + BATCH]) for start in range(0, len(requests), BATCH)]

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> None:
        """There is no model to ask."""

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[list[Finished]]:
        missing = Failure("not among the recorded answers", lasting=True)
        for batch in batches:
            yield [(request, self._answers.get(request.key, missing)) for request in batch]


def _checked(row: dict[str, Any] | Unreadable, where: str) -> _Row:
    if isinstance(row, Unreadable):
        raise UserError(f"{where}: {row}; mend or remove the row")
    try:
        return _Row.model_validate(row)
    except ValidationError as error:
        raise UserError(f"{where}{first_problem(error)}; mend or remove the row") from None
