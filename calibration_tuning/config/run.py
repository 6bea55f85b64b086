"""One YAML describes one run; every stage validates all of it, so a typo in `training` stops curation at second one.

Nothing here imports torch: wrong settings are reported in a fraction of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from calibration_tuning.config.curation import CurationSettings
from calibration_tuning.config.engines import SPEED_ONLY
from calibration_tuning.config.evaluation import SAMPLING, EvaluationSettings
from calibration_tuning.config.model import NOT_INPUTS, ModelSettings
from calibration_tuning.config.questions import MixtureEntry
from calibration_tuning.config.settings import LocalPath, Name, Seed, Settings, load_settings, read_yaml
from calibration_tuning.config.tracking import TrackingSettings
from calibration_tuning.config.training import HOW_IT_RUNS, TrainingSettings
from calibration_tuning.errors import UserError
from calibration_tuning.shipped_files import shipped


class RunConfig(Settings):
    name: Name
    """Name of the run; its folder is `<output_dir>/<name>`."""
    output_dir: LocalPath = Path("runs")
    """Folder that holds the runs."""
    seed: Seed = 0
    """Seed of every random draw: questions, splits, demonstrations, order, dropout, resamples."""
    model: ModelSettings
    questions: Annotated[list[MixtureEntry], Field(min_length=1)]
    """The mixture: question sets with counts, weights and roles, or the path of a YAML file that lists them."""
    curated: LocalPath | None = None
    """Folder of a set that is already curated, such as another run's `curation`; null curates one."""
    curation: CurationSettings = CurationSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()

    @field_validator("questions", mode="before")
    @classmethod
    def _read_mixture(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = shipped(Path(value))
        if not path.is_file():
            raise UserError(f"questions: no mixture file {value!r}; see configs/mixtures/")
        return read_yaml(path, list)

    @model_validator(mode="after")
    def _sets_fit_together(self) -> Self:
        names = [q.source for q in self.questions]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"questions: two sets are named {', '.join(twice)}; give each a different `source`")
        if all(q.role == "evaluation" for q in self.questions):
            raise ValueError("questions: every set has role evaluation; at least one must be for training")
        graders = {q.grader for q in self.questions}
        if self.curation.second_grader is not None:
            graders.add(self.curation.second_grader.grader)
        second = self.curation.second_grader
        if second is not None and second.grader == "code" and any(q.program is None for q in self.questions):
            raise ValueError("curation.second_grader: code needs every question set to have a program")
        if "judge" in graders and self.curation.judge is None:
            raise ValueError("curation.judge: missing, but a set's grader is judge; name the model that judges")
        if "code" in graders and not self.curation.execute_code:
            raise ValueError("curation.execute_code: false, but a set's grader, code, runs the model's programs")
        sampling = [name for name in self.evaluation.estimators if name in SAMPLING]
        if sampling and not self.evaluation.samples:
            raise ValueError(f"evaluation.samples: 0, but {sampling[0]} needs sampled answers; set it to 8, say")
        if self.training.objective.targets == "soft" and not self.curation.samples and self.curated is None:
            raise ValueError("training.objective.targets: soft needs sampled answers; set curation.samples to 8, say")
        judge = self.curation.judge
        asked = {"curation.engine": (self.curation.engine, self.model)}
        if judge is not None:
            asked["curation.judge.engine"] = (judge.engine, judge.model)
        for where, (engine, model) in asked.items():
            if engine.kind == "vllm" and model.load_in_4bit and self.curated is None:
                raise ValueError(
                    f"{where}.kind: vllm does not load models in 4 bits; use transformers, or load_in_4bit: false"
                )
        if self.model.dtype == "float16":
            raise ValueError("model.dtype: float16 needs loss scaling in training; use bfloat16 or float32")
        return self

    @property
    def run_dir(self) -> Path:
        return self.output_dir / self.name

    @property
    def curation_dir(self) -> Path:
        return self.curated or self.run_dir / "curation"

    @property
    def training_seed(self) -> int:
        return self.seed if self.training.seed is None else self.training.seed

    @property
    def training_dir(self) -> Path:
        """Folder in which training keeps what it needs to resume, until it has finished."""
        return self.run_dir / ".training"

    @property
    def checkpoint_dir(self) -> Path:
        return self.run_dir / "checkpoint"

    @property
    def findings_dir(self) -> Path:
        """What evaluation has asked the model, kept so that another report does not ask again."""
        return self.run_dir / ".findings"

    @property
    def evaluation_dir(self) -> Path:
        return self.run_dir / "evaluation"

    def curation_inputs(self) -> dict[str, Any]:
        """The settings that decide what curation produces."""
        inputs = self.model_dump(mode="json", include={"seed", "model", "questions", "curation"})
        judge = inputs["curation"]["judge"]
        for engine in [inputs["curation"]["engine"], *([judge["engine"]] if judge else [])]:
            for setting in SPEED_ONLY & engine.keys():
                engine.pop(setting)
        for model in [inputs["model"], *([judge["model"]] if judge else [])]:
            for setting in NOT_INPUTS:
                model.pop(setting)
        return inputs

    def training_inputs(self) -> dict[str, Any]:
        """The settings that decide what training produces from a given curated set."""
        inputs = self.model_dump(mode="json", include={"model", "training"})
        inputs["model"] = {k: v for k, v in inputs["model"].items() if k not in NOT_INPUTS}
        inputs["training"] = {k: v for k, v in inputs["training"].items() if k not in HOW_IT_RUNS}
        inputs["training"]["seed"] = self.training_seed
        return inputs


def load_run_config(path: str | Path, overrides: list[str]) -> RunConfig:
    return load_settings(path, overrides, RunConfig)
