"""Settings of the evaluation stage: which confidences are measured, on how many questions, and how they are judged."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from calibration_tuning.config.settings import HubOrPath, LocalPath, Name, Settings

EstimatorName = Literal[
    "stacked",
    "likelihood_blend",
    "query",
    "query_zero_shot",
    "probe",
    "p_ik",
    "density",
    "average_token_probability",
    "sequence_likelihood",
    "length_normalised_likelihood",
    "minimum_token_probability",
    "token_entropy",
    "choice_probability",
    "p_true",
    "verbalised_percent",
    "verbalised_words",
    "self_consistency",
    "semantic_entropy",
    "cocoa",
]
READOUT: tuple[EstimatorName, ...] = ("stacked", "likelihood_blend")
"""Estimators of a stacked readout: measured where the checkpoint has one, and only there."""
SAMPLING: tuple[EstimatorName, ...] = ("self_consistency", "semantic_entropy", "cocoa")
READ_ONLY: tuple[EstimatorName, ...] = tuple(
    name for name in get_args(EstimatorName) if not name.startswith("verbalised") and name not in (*SAMPLING, *READOUT)
)
"""Estimators that need no text to be written."""
ErrorRate = Annotated[float, Field(gt=0, lt=1)]


class OtherAnswers(Settings):
    """Another model's answers to the same questions, to see whether this model knows when *that* one is right."""

    name: Name
    """What its answers are called in the report."""
    path: LocalPath
    """JSON lines of `{"id": question id, "answer": text}`, as for `curation.engine.kind: recorded`; or the folder of
    another run's curated set, such as `runs/other/curation`."""


class TextSettings(Settings):
    """Running text whose tokens Full-ECE is measured on, before and after tuning."""

    path: HubOrPath
    """A jsonl file with a document a line, a folder of text files (each a document), or a data set on the hub."""
    column: str = "text"
    """Field of a jsonl file, or column of a data set, that holds the text."""
    name: str | None = None
    """Configuration of a data set on the hub."""
    split: str = "test"
    """Split of a data set on the hub."""
    tokens: PositiveInt = 50_000
    """Number of tokens that are read. By chance alone, Full-ECE is about 0.006 on 50,000 tokens."""
    window: Annotated[int, Field(ge=2)] = 512
    """Number of tokens that are read at a time, with nothing before them."""


class EvaluationSettings(Settings):
    num_bins: Annotated[int, Field(ge=2)] = 10
    """Bins of ECE and its kind, and of reliability diagrams."""
    bootstrap_samples: Annotated[int, Field(ge=100)] = 1000
    """Resamples behind each interval."""
    batch_size: PositiveInt = 32
    """Answers in a forward pass."""
    estimators: Annotated[tuple[EstimatorName, ...], Field(min_length=1)] = READ_ONLY
    """Confidences that are measured, before and after tuning; `query` always is. Verbalised ones make the model write,
    the sampling ones need `samples`."""
    adapter_on_answers: NonNegativeInt = 200
    """At most this many test questions, drawn by the seed, are answered again with the adapter on, to see whether
    tuning changes answers; 0 skips it."""
    samples: NonNegativeInt = 0
    """Sampled answers a question for self-consistency, semantic entropy and the curve over samples; those of
    `curation.samples` are used first."""
    reasoning_tokens: tuple[NonNegativeInt, ...] = ()
    """Budgets of tokens to reason in before answering, such as [0, 64, 256], for the curve over tokens spent."""
    written_questions: PositiveInt | None = 500
    """At most this many questions of a split get texts written for (verbalised, sampled, reasoned); null is all."""
    error_rates: tuple[ErrorRate, ...] = (0.05, 0.1, 0.2)
    """For each, the threshold above which answers are wrong no more often than that."""
    error_rate_confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Probability, over draws of the calibration split, with which a threshold keeps its error rate."""
    other_answers: tuple[OtherAnswers, ...] = ()
    """Other models' answers that this checkpoint judges too."""
    text: TextSettings | None = None
    """Running text for Full-ECE as in the paper; without it only answer tokens are rated."""

    @field_validator("estimators")
    @classmethod
    def _query_is_measured(cls, value: tuple[EstimatorName, ...]) -> tuple[EstimatorName, ...]:
        # In the registry's order, whatever the order in the file.
        return tuple(name for name in get_args(EstimatorName) if name in value or name == "query")

    @field_validator("other_answers")
    @classmethod
    def _names_differ(cls, value: tuple[OtherAnswers, ...]) -> tuple[OtherAnswers, ...]:
        names = [other.name for other in value]
        if len({*names}) < len(names):
            raise ValueError("two models have the same name")
        if "own" in names:
            raise ValueError("the name own is reserved for this model's answers; choose another name")
        return value
