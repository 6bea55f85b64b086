"""Settings of the curation stage: how many examples, how they are asked, answered, graded and selected."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from calibration_tuning.config.engines import EngineSettings, JudgeSettings, TransformersEngine
from calibration_tuning.config.questions import Cloze, GraderName
from calibration_tuning.config.settings import Settings


class SecondGraderSettings(Settings):
    """Grades a sample of the answers again, so that the data card can say how far two graders agree."""

    grader: GraderName
    """The grader that grades them again."""
    sample: PositiveInt = 200
    """Number of answers that are graded again."""


class SplitSizes(Settings):
    train: PositiveInt = 8000
    """What the adapter and the readout's probe learn from."""
    validation: PositiveInt = 400
    """Used to choose the best checkpoint."""
    calibration: PositiveInt = 800
    """What the readout, the calibrator and the thresholds are fitted on."""
    test: PositiveInt = 2000
    """What evaluation reports on."""

    @property
    def total(self) -> int:
        return self.train + self.validation + self.calibration + self.test


class CurationSettings(Settings):
    sizes: SplitSizes = SplitSizes()
    """Questions per split. A group of related questions is never on two sides. The test split is stratified by topic,
    the others by topic and correctness."""
    oversample: Annotated[float, Field(ge=1)] = 1.0
    """Ask this many times the training questions needed, so that `correct_fraction` can be met."""
    correct_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of correct answers in the train split; null keeps the model's own. Other splits always keep it."""
    answer_few_shot: Annotated[int, Field(ge=0, le=32)] = 3
    """Demonstrations (question and right answer) before each question; never asked themselves."""
    few_shot_by: Literal["subject", "source"] = "subject"
    """One block of demonstrations for each subject, or for each question set."""
    query_few_shot: Annotated[int, Field(ge=0, le=32)] = 2
    """Graded demonstrations of the uncertainty query, half of them correct; taken out of the set."""
    max_new_tokens: PositiveInt = 16
    """Longest answer in tokens."""
    engine: EngineSettings = TransformersEngine()
    samples: NonNegativeInt = 0
    """Answers sampled beside the greedy one, for soft targets k/n and self-consistency."""
    temperature: PositiveFloat = 1.0
    """Temperature of the sampled answers."""
    cloze: Cloze = "per_character"
    """Likelihood that picks the answer in style `cloze`; per character does not favour short choices."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Jaccard similarity of word 3-grams from which two questions count as one; 1 finds only equal ones."""
    decontamination_ngram: PositiveInt = 13
    """Training questions that share this many words in a row with an evaluation question are left out."""
    execute_code: bool = False
    """Let the `code` grader run the model's programs (in a sandbox, Linux only)."""
    judge: JudgeSettings | None = None
    second_grader: SecondGraderSettings | None = None
