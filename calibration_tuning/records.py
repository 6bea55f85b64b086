"""The records that stages hand to each other, as rows of parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration_tuning.config.questions import Style
from calibration_tuning.errors import UserError, first_problem

CHOICE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Split = Literal["train", "validation", "calibration", "test", "evaluation"]
"""`test` holds unseen questions of the sets trained on, `evaluation` questions of sets that are never trained on."""
SPLITS: tuple[Split, ...] = get_args(Split)


FewShotBy = Literal["subject", "source"]


PART = 1000
"""Rows that are written and read at a time."""
_NONE_GIVEN: set[str] = set()


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_post_init(self, context: Any, /) -> None:
        # Which fields were given is of no interest, and a set of their names would be half of what a record weighs.
        object.__setattr__(self, "__pydantic_fields_set__", _NONE_GIVEN)


def below(context: str | None, question: str) -> str:
    """The question with its passage above it, as the model is asked."""
    return f"{context}\n{question}" if context else question


class Demonstration(_Record):
    """A question with an answer and, in uncertainty-query blocks, whether that answer is correct."""

    question: str
    answer: str
    correct: bool | None = None


class Question(_Record):
    id: str
    source: str
    subject: str
    group: str
    """Questions of one group (one country, one city) always land in the same split."""
    earlier: list[Demonstration] = []
    """The turns of the conversation before the question: each message of the user with its reply, in order."""
    context: str | None = None
    """A passage shown above the question."""
    question: str
    choices: list[str] | None = None
    references: list[str]
    """Accepted answers, the canonical one first; for the `set` grader, the items of a complete answer."""
    program: str | None = None
    """For the `code` grader: the program that tests the answer, put in place of `<answer>`."""
    grader: str
    style: Style = "open_ended"
    multiline: bool = False
    max_new_tokens: int | None = None

    @property
    def topic(self) -> str:
        """Questions of one topic share their few-shot block and are balanced against other topics."""
        return f"{self.source}/{self.subject}"

    @property
    def background(self) -> str:
        """What is read before the question: the earlier turns and the passage; empty without."""
        turns = [text for turn in self.earlier for text in (turn.question, turn.answer)]
        return "\n".join([*turns, self.context or ""])

    @property
    def text(self) -> str:
        """The question as it is asked: its passage above it, and in style `choice` its lettered choices below it."""
        choices = (self.choices or ()) if self.style == "choice" else ()
        lines = [f"{letter}. {choice}" for letter, choice in zip(CHOICE_LETTERS, choices, strict=False)]
        return "\n".join([below(self.context, self.question), *lines])

    @property
    def shown(self) -> str:
        """The question for people and judges: behind its earlier turns, each with who said it."""
        turns = [f"User: {turn.question}\nAssistant: {turn.answer}" for turn in self.earlier]
        return "\n".join([*turns, f"User: {self.text}"]) if turns else self.text

    @property
    def target(self) -> str:
        """The right answer as a demonstration shows it: a letter in style `choice`, otherwise text."""
        if self.style == "choice" and self.choices and self.references[0] in self.choices:
            return CHOICE_LETTERS[self.choices.index(self.references[0])]
        return ", ".join(item.split("|")[0] for item in self.references) if self.grader == "set" else self.references[0]


class Sample(_Record):
    """One of several answers drawn at a temperature."""

    answer: str
    token_ids: list[int]
    token_logprobs: list[float]
    correct: float


class GradedAnswer(Question):
    answer: str
    """The greedy answer; in style `cloze` the most likely choice."""
    token_ids: list[int]
    """The answer's tokens as the model produced them, without the stop token."""
    token_logprobs: list[float]
    """Natural log-probability of each token, [len(token_ids)]; empty where the engine offers none."""
    correct: float
    """Correctness of `answer` in [0, 1]; other than 0 and 1 only from graders that give part marks."""
    choice_logprobs: list[float] | None = None
    """In style `cloze`: log-likelihood of each choice's text, summed over its tokens."""
    samples: list[Sample] = []
    trace: str | None = None
    """What a thinking model wrote before `answer`, without its tags; those of samples are not kept."""
    trace_tokens: int = 0
    """Of the trace; `model.thinking_tokens` where it was cut."""

    @property
    def sample_accuracy(self) -> float | None:
        """k/n over the sampled answers: how often the model is right when it is asked again."""
        return sum(s.correct for s in self.samples) / len(self.samples) if self.samples else None


class QueryExample(GradedAnswer):
    """A graded answer on one side of the split, ready for the uncertainty query."""

    split: Split


class FewShot(_Record):
    """The few-shot blocks of a run (`few_shot.json`): by subject or source for answers, one block for the query."""

    by: FewShotBy = "subject"
    answer: dict[str, list[Demonstration]]
    query: list[Demonstration]
    shown: list[Demonstration]
    """Before every question that a loaded checkpoint answers: they show the form of an answer."""

    def before(self, question: Question) -> list[Demonstration]:
        """The demonstrations before a question when it is answered."""
        return self.answer.get(block_of(question, self.by), [])


def block_of(question: Question, by: FewShotBy) -> str:
    """Name of the block of demonstrations that a question shares with others."""
    return question.topic if by == "subject" else question.source


def write_records(path: Path, rows: Sequence[QueryExample]) -> None:
    """Write the examples to a Parquet file with fixed column types, also if there are none."""
    from datasets import Dataset, Features, List, Value, concatenate_datasets

    answer = {
        "token_ids": List(Value("int32")),
        "token_logprobs": List(Value("float32")),
        "correct": Value("float32"),
    }
    features = Features(
        {
            **dict.fromkeys(("id", "source", "subject", "group", "split", "context", "question"), Value("string")),
            "earlier": List({"question": Value("string"), "answer": Value("string")}),
            "choices": List(Value("string")),
            "references": List(Value("string")),
            **dict.fromkeys(("program", "grader", "style", "answer"), Value("string")),
            "multiline": Value("bool"),
            "max_new_tokens": Value("int32"),
            **answer,
            "choice_logprobs": List(Value("float32")),
            "samples": List({"answer": Value("string"), **answer}),
            "trace": Value("string"),
            "trace_tokens": Value("int32"),
        }
    )

    def part(start: int) -> Dataset:
        dumped = [row.model_dump() for row in rows[start : start + PART]]
        return Dataset.from_dict({name: [row[name] for row in dumped] for name in features}, features=features)

    concatenate_datasets([part(start) for start in range(0, len(rows) or 1, PART)]).to_parquet(path)


def read_records(path: Path) -> list[QueryExample]:
    """Rows of a curated split. Raises `UserError` for a missing, damaged or foreign file."""
    records = []
    for number, row in enumerate(_rows(path)):
        try:
            records.append(QueryExample.model_validate(row))
        except ValidationError as error:
            raise UserError(f"{path}, row {number}{first_problem(error)}; run curate again with --force") from None
    if not records:
        remedy = "add a question set with role: evaluation"
        raise UserError(
            f"{path}: holds no examples; {remedy if path.stem == 'evaluation' else f'raise curation.sizes.{path.stem}'}"
        )
    return records


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        # pyarrow rather than load_dataset: one local file needs neither a cache copy nor a lock.
        with pq.ParquetFile(path) as file:
            for part in file.iter_batches(PART):
                yield from part.to_pylist()
    except FileNotFoundError:
        raise UserError(f"{path}: does not exist; run `calibration-tuning curate CONFIG` first") from None
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}); run curate again with --force") from None
