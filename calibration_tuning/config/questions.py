"""Question sets as YAML files: which rows to read, and Jinja templates that say what a row means.

`configs/questions/NAME.yaml` describes a set; a run's `questions:` lists sets by name, with counts, weights and roles.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from jinja2 import TemplateSyntaxError
from pydantic import Field, PositiveInt, field_validator, model_validator

from calibration_tuning.config.settings import HubOrPath, Settings, nearest, read_yaml, validate
from calibration_tuning.config.templates import compiled
from calibration_tuning.errors import UserError
from calibration_tuning.shipped_files import ROOT, shipped

QUESTION_SETS = ROOT / "configs" / "questions"

GraderName = Literal["exact", "case_sensitive", "numeric", "math", "choice", "fuzzy", "set", "judge", "code"]
Style = Literal["open_ended", "choice", "cloze"]
Cloze = Literal["per_character", "raw"]
"""Which log-likelihood picks an answer of style `cloze`: that of a choice per character, or of all of it."""

Template = Annotated[str, Field(min_length=1)]


def last_part(path: str) -> str:
    """What a set is called after: the name of its file or data set."""
    return re.split("[/:]", path.rstrip("/"))[-1].split(".")[0]


class QuestionSetSettings(Settings):
    """One question set. Templates see a row's columns as variables, as in lm-evaluation-harness.

    A template that is one `{{ expression }}` keeps the expression's value (a list, a number); any other is text.
    """

    source: str
    """Name of the set in records and reports; may be left out, then it is that of the set's file or path."""
    description: str | None = None
    """What it is, its licence and where it comes from."""
    license: str | None = None
    """Licence identifier as the hub spells it; the data card lists it."""
    path: HubOrPath
    """Hub id, a json/jsonl/csv/tsv/parquet file (.gz too), or `embedded:countries|cities|elements|arithmetic`."""
    name: str | None = None
    """Configuration name of a hub data set."""
    revision: str | None = None
    """Branch, tag or commit of a hub data set."""
    train_split: str | None = "train"
    """Hub split asked when the set's role is `train`; null for sets that are for evaluation only."""
    evaluation_split: str | None = None
    """Hub split asked when the set's role is `evaluation`."""
    few_shot_split: str | None = None
    """Hub split that demonstrations are drawn from; by default `train_split`."""
    question: Template = "{{ question }}"
    """What the model is asked."""
    context: Template | None = None
    """A passage shown above the question. Questions about one passage never stand on two sides of a split."""
    choices: Template | list[Template] | None = "{{ choices | default(none) }}"
    """A template that gives a list, or a list of templates."""
    label: Template | None = None
    """Which choice is right: its label in the row, its position from 0, or its letter. Instead of `answer`."""
    answer: Template = "{{ answer }}"
    """The right answer's text, or a list of which the first is canonical and all are accepted."""
    aliases: Template | None = "{{ aliases | default(none) }}"
    """Further accepted answers: a list, or text separated by `|`."""
    subject: Template | None = "{{ subject | default(none) }}"
    """Topic of the question: splits are drawn evenly over topics, and reports have a row for each."""
    id: Template | None = "{{ id | default(none) }}"
    """Names the question in records; by default its position in the file."""
    group: Template | None = "{{ group | default(none) }}"
    """Questions of one group (one passage, one country) never stand on two sides of a split."""
    program: Template | None = None
    """For the `code` grader: the program to run, with `<answer>` where the proposed code goes."""
    grader: GraderName = "exact"
    """The grader: it compares a proposed answer with the references."""
    style: Style = "open_ended"
    """`open_ended` asks the bare question, `choice` shows lettered choices, `cloze` compares their likelihoods."""
    multiline: bool = False
    """Answers may hold line breaks (code); otherwise a text prompt's answer ends with its line."""
    max_new_tokens: PositiveInt | None = None
    """Longest answer in tokens; by default the run's `curation.max_new_tokens`."""
    subjects: list[str] | None = None
    """Keep only these subjects."""

    @model_validator(mode="before")
    @classmethod
    def _name_by_path(cls, values: Any) -> Any:
        if isinstance(values, dict) and "source" not in values and isinstance(values.get("path"), str):
            return {"source": last_part(values["path"]), **values}
        return values

    @field_validator(
        "question", "context", "choices", "label", "answer", "aliases", "subject", "id", "group", "program"
    )
    @classmethod
    def _templates_parse(cls, value: str | list[str] | None) -> str | list[str] | None:
        for text in value if isinstance(value, list) else [value or ""]:
            try:
                compiled(text)
            except TemplateSyntaxError as error:
                raise ValueError(f"not a valid Jinja template ({error.message})") from None
        return value

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.style != "open_ended" and self.choices is None:
            raise ValueError(f"style: {self.style} needs choices")
        if self.style == "choice" and self.grader not in ("choice", "judge"):
            raise ValueError(
                f"style: choice is answered with a letter, which grader: {self.grader} does not read; "
                "use grader: choice, or style: cloze or open_ended"
            )
        if self.grader == "code" and (self.program is None or "<answer>" not in self.program):
            raise ValueError("grader: code needs a program that holds <answer>")
        return self


class MixtureEntry(QuestionSetSettings):
    """One set of a run's mixture: `set: NAME` takes configs/questions/NAME.yaml; its settings can be changed."""

    role: Literal["train", "evaluation"] = "train"
    """`train` sets fill the train, validation, calibration and test splits; `evaluation` sets the evaluation split."""
    count: PositiveInt | None = None
    """Exactly this many of its questions are asked (all it has, if fewer)."""
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Share of the questions that no `count` fixes, relative to the other `train` sets."""

    @model_validator(mode="before")
    @classmethod
    def _read_set(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "set" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "set"}
        return read_set(str(values["set"])) | rest

    @model_validator(mode="after")
    def _has_a_split(self) -> Self:
        if self.role == "train" and self.train_split is None:
            raise ValueError(f"{self.source}: is for evaluation only; give it `role: evaluation` or a train_split")
        return self

    @property
    def split(self) -> str:
        """The split its questions come from."""
        return str(self.evaluation_split or self.train_split if self.role == "evaluation" else self.train_split)


def read_set(name: str) -> dict[str, Any]:
    """The settings in `configs/questions/NAME.yaml`, or in the file `name` if it ends in .yaml, checked.

    Raises `UserError` naming the file, and the nearest name of an unknown set.
    """
    path = shipped(Path(name)) if name.endswith(".yaml") else QUESTION_SETS / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"questions: no question set {name!r}; {nearest(name, shipped_sets())}")
    values = {"source": path.stem} | read_yaml(path, dict)
    validate(values, QuestionSetSettings, where=str(path))
    return values


def shipped_sets() -> list[str]:
    return sorted(path.stem for path in QUESTION_SETS.glob("*.yaml"))
