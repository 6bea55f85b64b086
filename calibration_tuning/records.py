"""The records that stages hand to each other, as rows of parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration_tuning.errors import UserError

CHOICE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Split = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Record):
    id: str
    source: str
    subject: str
    group: str
    """Questions of one group (one country, one city) always land in the same split."""
    question: str
    choices: list[str] | None = None
    references: list[str]
    """Accepted answers, the canonical one first."""
    grader: str

    @property
    def topic(self) -> str:
        """Questions of one topic share their few-shot block and are balanced against other topics."""
        return f"{self.source}/{self.subject}"

    @property
    def text(self) -> str:
        """The question as it is asked, with its lettered choices below it."""
        lines = [f"{letter}. {choice}" for letter, choice in zip(CHOICE_LETTERS, self.choices or (), strict=False)]
        return "\n".join([self.question, *lines])


class Demonstration(_Record):
    """A question with an answer and, in uncertainty-query blocks, whether that answer is correct."""

    question: str
    answer: str
    correct: bool | None = None


class GradedAnswer(Question):
    answer: str
    token_ids: list[int]
    """The answer's tokens as the model produced them, without the stop token."""
    token_logprobs: list[float]
    """Natural log-probability of each token, [len(token_ids)]."""
    correct: float
    """Correctness in [0, 1]; 0 or 1 for one greedy answer."""


class QueryExample(GradedAnswer):
    """A graded answer on one side of the split, ready for the uncertainty query."""

    split: Split


class FewShot(_Record):
    """The few-shot blocks of a run (`few_shot.json`): by topic for answers, one block for the query."""

    answer: dict[str, list[Demonstration]]
    query: list[Demonstration]


def write_records(path: Path, rows: Sequence[QueryExample]) -> None:
    from datasets import Dataset, Features, List, Value

    features = Features(
        {
            **dict.fromkeys(("id", "source", "subject", "group", "split", "question"), Value("string")),
            "choices": List(Value("string")),
            "references": List(Value("string")),
            **dict.fromkeys(("grader", "answer"), Value("string")),
            "token_ids": List(Value("int32")),
            "token_logprobs": List(Value("float32")),
            "correct": Value("float32"),
        }
    )
    dumped = [row.model_dump() for row in rows]
    columns = {name: [row[name] for row in dumped] for name in features}
    Dataset.from_dict(columns, features=features).to_parquet(path)


def read_records(path: Path) -> list[QueryExample]:
    """Rows of a curated split. Raises `UserError` for a missing, damaged or foreign file."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        # pyarrow rather than load_dataset: one local file needs neither a cache copy nor a lock.
        rows = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `calibration-tuning curate CONFIG` first") from None
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}); run curate again with --force") from None
    records = []
    for number, row in enumerate(rows):
        try:
            records.append(QueryExample.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path}, row {number}, {field}: {first['msg']}; run curate again with --force") from None
    if not records:
        raise UserError(f"{path}: holds no examples; raise curation.sizes.{path.stem}")
    return records
