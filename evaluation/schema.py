"""metrics.json as typed records: what evaluation writes, and what reports, cards and comparisons read.

`docs/metrics.schema.json` is the JSON schema of `Metrics`; `python -m evaluation.schema` writes it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, PlainSerializer, ValidationError

from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.metrics.bootstrap import Difference, Interval
from calibration_tuning.metrics.calibrators import AnyCalibrator
from calibration_tuning.readout.stacked import StackedRecord
from calibration_tuning.runs.files import read_json

SCHEMA_VERSION: Literal[4] = 4
MADE_BY = "calibration-tuning evaluate CONFIG"
State = Literal["before", "after"]

Number = Annotated[Interval, PlainSerializer(Interval.as_dict)]
"""A number with its 95% interval."""
Change = Annotated[Difference, PlainSerializer(Difference.as_dict)]
"""After minus before, with interval, p-value and, where the p-value is corrected, a verdict."""
Numbers = dict[str, Number]
"""By metric."""
Changes = dict[str, Change]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Comparison(Record):
    """The untuned query's confidence, and that of the checkpoint, on the same questions."""

    n: int
    groups: int
    """Independent groups of questions."""
    before: Numbers
    after: Numbers
    difference: Changes
    before_calibrated: Numbers
    """The same readout of the untuned model with the same kind of calibrator."""
    after_uncalibrated: Numbers
    base_rate: Numbers
    """Always saying the accuracy of the calibration split."""
    subject_accuracy: Numbers
    """Always saying the accuracy of the answer's subject on the calibration split, smoothed; the base rate for a
    subject that is not in it."""
    tuning: Changes
    """`after` minus `before_calibrated`: what tuning itself is worth."""
    over_base_rate: Changes
    """`after` minus `base_rate`."""
    over_subject_accuracy: Changes
    """`after` minus `subject_accuracy`: what is known beyond the kind of question."""


class Primary(Record):
    """The comparison named in advance: Brier score of the tuned confidence against the best untuned one, both
    calibrated, on the test split. Its p-value is not corrected; all others are, without it."""

    other: str
    """The best untuned confidence (`sequence_likelihood/before`), chosen on the calibration split."""
    label: str
    candidates: int
    """Untuned confidences that it was chosen from: those that every answer has."""
    n: int
    untuned: Number
    tuned: Number
    difference: Change
    """`tuned` minus `untuned`."""


class Headline(Record):
    test: Comparison
    evaluation: Comparison | None = None
    """Sets that are never trained on; absent where there are none."""
    answer_token_mass: dict[State, Number] | None
    """Mean probability of the two answer tokens at the query position; null where a probe is read instead."""


class BinSums(Record):
    """Per bin: its ends, and the pairs (position, token) in it summed."""

    low: list[float]
    high: list[float]
    predicted: list[float]
    realised: list[float]


class TokenComparison(Record):
    n: int
    """Token positions."""
    vocabulary: int | None
    before: Numbers
    after: Numbers
    difference: Changes
    bins: dict[State, BinSums]


class SourceTokens(Record):
    n: int
    before: Numbers
    after: Numbers


class Tokens(Record):
    """The reference answers' tokens, by kind of bin."""

    equal_width: TokenComparison
    log: TokenComparison
    equal_mass: TokenComparison
    by_source: dict[str, SourceTokens]


class Text(Record):
    """Full-ECE and its companions on running text, equal-width bins; documents are resampled."""

    path: str
    documents: int
    windows: int
    tokens: TokenComparison


class RatedConfidence(Record):
    n: int
    """Answers that have such a confidence."""
    raw: Numbers
    calibrated: Numbers | None = None
    """With the run's kind of calibrator, fitted on the calibration split; with Platt scaling where that kind is a
    temperature and the confidence is not the run's readout. Absent where it cannot be fitted."""
    against_query: Changes | None = None
    """Calibrated, minus the tuned confidence on the same answers."""
    slope_at_bound: bool = False
    """The slope is at its lower bound, and on the calibration split the confidence ranks right answers no
    higher than wrong ones (AUROC at most 0.5). What is calibrated is next to the base rate."""
    needs_bias: bool = False
    """The temperature is at its upper bound although the confidence ranks better than chance on the calibration split:
    it would have to be shifted first."""


class EstimatorRow(Record):
    label: str
    family: str
    states: dict[State, RatedConfidence]


class CalibratorScores(Record):
    brier: Number
    ece: Number
    nll: Number
    cross_fitted: float | None = None
    """Brier score within the calibration split by five folds; absent where there are too few groups."""


class Calibrators(Record):
    n_calibration: int
    kinds: list[str]
    """`none` is the confidence as it is."""
    table: dict[str, dict[str, CalibratorScores]]
    """By confidence (`query/after`) and kind, on the test split."""
    best: dict[str, str]
    """By confidence: the kind with the lowest `cross_fitted`."""
    best_other: str | None
    """The best confidence besides the readout of the checkpoint, chosen without the test split."""
    incomplete: dict[str, int] = {}
    """Confidences that some calibration or test answers lack, with the number of these answers. `best_other` and the
    primary comparison are not chosen from them."""


class AdaptiveTemperature(Record):
    """Reference tokens of a split with a temperature for each position, and without."""

    n: int
    """Token positions."""
    plain: Numbers
    scaled: Numbers
    difference: Changes


class TemperatureScan(Record):
    temperature: float
    """Lowest NLL on the calibration split's reference tokens."""
    at_edge: bool
    """It is the first or the last of the scan."""
    at_1: Numbers
    scaled: Numbers
    difference: Changes
    scan: dict[str, list[float | None]]
    adaptive: dict[str, AdaptiveTemperature] | None = None
    """By split, of the untuned model; absent where the checkpoint has no token temperature."""


class ThresholdResult(Record):
    threshold: float | None
    """In the raw confidence; null where the calibration data support none."""
    calibrated: float | None
    """The same threshold in the calibrated confidence, where its calibrator keeps the order."""
    answered: int
    coverage: float
    error: float | None
    error_low: float | None
    error_high: float | None


class Rate(Record):
    error_rate: float
    unavoidable_abstention: float
    """Share of questions that no confidence could answer at this error rate."""
    before: ThresholdResult
    after: ThresholdResult
    """Of the checkpoint's confidence as a loaded checkpoint reads it; so are the thresholds that it keeps."""
    best_other: ThresholdResult | None = None

    def side(self, name: str) -> ThresholdResult | None:
        return {"before": self.before, "after": self.after, "best_other": self.best_other}[name]


class Curve(Record):
    coverage: list[float]
    risk: list[float]


class Decisions(Record):
    accuracy: float
    confidence: float
    """How sure each threshold is, over draws of the calibration split."""
    n_calibration: int
    """Calibration answers that thresholds were tested on."""
    n_groups: int
    """Groups that these are of; answers of one group may be right or wrong together."""
    best_other: str | None
    rates: list[Rate]
    curves: dict[str, Curve]


class GroupRow(Record):
    """A subject or a question set. Metrics are absent where it has fewer than ten groups of questions."""

    n: int
    accuracy: float
    before: Numbers | None = None
    after: Numbers | None = None
    difference: Changes | None = None


class SourceRow(GroupRow):
    in_domain: bool
    """Other questions of the set were trained on."""
    estimators: dict[str, Numbers] | None = None
    """By confidence: its Brier score and AUROC there, with calibrators fitted on the calibration split."""


class AsLoaded(Record):
    """The confidence behind the block of demonstrations that a loaded checkpoint puts before every question."""

    n: int
    confidence: Numbers
    difference: Changes
    """`confidence` minus that behind the block that each answer was written behind."""


class LeftOutSource(Record):
    """A source's test answers by confidences that were calibrated on the other sources."""

    n: int
    accuracy: float
    confidences: dict[str, Numbers]
    """By estimator of the untuned model."""


class WorstSubject(Record):
    name: str
    rated: int
    """Subjects it was chosen from."""
    clear: bool
    """The interval, wide enough for all of them at once, excludes 0."""
    gap: Number


class Subjects(Record):
    table: dict[str, GroupRow]
    worst: WorstSubject | None


class Answers(Record):
    """The same questions answered again, adapter off and on."""

    n: int
    changed: Number
    accuracy_adapter_off: Number
    accuracy_adapter_on: Number
    accuracy_difference: Number


class SamplePoint(Record):
    samples: int
    tokens: float
    n: int
    vote_share: Numbers


class ReasoningPoint(Record):
    budget: int
    tokens: float
    n: int
    token_probability: Numbers
    query: Numbers


class Compute(Record):
    samples: list[SamplePoint]
    reasoning: list[ReasoningPoint]


class OtherModel(Record):
    n: int
    before: Numbers
    after: Numbers
    difference: Changes
    leave_one_out: Numbers | None = None
    """After tuning, with a calibrator fitted on the answers of all other models."""


class CodeRow(Record):
    lines: int
    program: dict[str, Numbers]
    line: Numbers


class Code(Record):
    n: int
    before: CodeRow
    after: CodeRow


class Grader(Record):
    """The headline by what the second grader would have said."""

    counts: dict[str, list[list[int]]]
    """By grader: answers by (first, second) verdict."""
    covered: float
    n: int
    agreement: float
    before: Numbers
    after: Numbers
    difference: Numbers


class Metrics(Record):
    schema_version: Literal[4] = SCHEMA_VERSION
    name: str
    model: str
    method: str
    readout: StackedRecord | None = None
    """How the checkpoint's confidence is read; null where it is the query's alone."""
    calibrator: Annotated[AnyCalibrator, Discriminator("kind")]
    seed: int
    num_bins: int
    bootstrap_samples: int
    examples: dict[str, int]
    """By split."""
    base_rate: float
    comparisons: dict[str, int]
    """By split: how many p-values Holm's correction is over."""
    curation_fingerprint: str
    inputs_fingerprint: str
    versions: dict[str, str]
    primary: Primary | None
    """Null where there are too few groups of calibration answers to choose on."""
    headline: Headline
    tokens: Tokens
    text: Text | None
    query_tokens: TokenComparison | None
    estimators: dict[str, dict[str, EstimatorRow]]
    """By split and estimator."""
    unrated: dict[str, int] | None
    """Confidences that too few test answers have."""
    posthoc: Calibrators
    temperature: dict[State, TemperatureScan]
    decisions: Decisions
    as_loaded: dict[str, AsLoaded] | None
    """By split; null where the query alone is read."""
    subjects: Subjects
    sources: dict[str, SourceRow]
    left_out_sources: dict[str, LeftOutSource] | None
    """Null where there is one source."""
    answers: Answers | None
    compute: Compute | None
    other_models: dict[str, OtherModel] | None
    code: Code | None
    grader: Grader | None

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


T = TypeVar("T")


def with_differences(value: T, replaced: Callable[[Difference], Difference]) -> T:
    """A copy of a record, dict or list in which every difference is what `replaced` makes of it."""
    copy: Any = value
    if isinstance(value, Difference):
        copy = replaced(value)
    elif isinstance(value, BaseModel):
        parts = {name: with_differences(getattr(value, name), replaced) for name in value.model_fields_set}
        copy = value.model_copy(update=parts)
    elif isinstance(value, dict):
        copy = {name: with_differences(part, replaced) for name, part in value.items()}
    elif isinstance(value, list):
        copy = [with_differences(part, replaced) for part in value]
    return copy


def with_corrected(value: T, old: Sequence[Difference], new: Sequence[Difference]) -> T:
    """A copy of a record, dict or list in which each of the `old` differences in it is the `new` one."""
    changes = {id(before): after for before, after in zip(old, new, strict=True)}
    return with_differences(value, lambda difference: changes.get(id(difference), difference))


def read_metrics(path: Path) -> Metrics:
    """A run's metrics.json. Raises `UserError` where it is missing, damaged, or of another schema version."""
    values = read_json(path, MADE_BY)
    if (version := values.get("schema_version")) != SCHEMA_VERSION:
        raise UserError(
            f"{path}, schema_version: {version}, but this version of calibration-tuning reads {SCHEMA_VERSION}; run "
            f"`{MADE_BY}` again with --force"
        )
    try:
        return Metrics.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}{first_problem(error)}; run `{MADE_BY}` again with --force") from None


def json_schema() -> dict[str, Any]:
    return Metrics.model_json_schema()


if __name__ == "__main__":
    import json

    Path("docs/metrics.schema.json").write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
