"""Settings of the training stage: what is trained, on which objective, in which batches, and what is kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from calibration_tuning.config.settings import Fraction, Seed, Settings

NonNegative = Annotated[float, Field(ge=0)]
CalibratorName = Literal["temperature", "platt", "beta", "isotonic", "histogram"]
Method = Literal["lora_prompt", "lora_probe", "probe", "none"]
ADAPTED: tuple[Method, ...] = ("lora_prompt", "lora_probe")
"""The methods that train an adapter. Without one, the model does not change."""
WITHOUT_PROBE: tuple[Method, ...] = ("lora_prompt", "none")
"""The methods that read the verdict off the two answer tokens of the query."""

HOW_IT_RUNS = {
    "tokens_per_batch",
    "batching",
    "gradient_checkpointing",
    "torch_compile",
    "checkpoints",
    "keep_checkpoints",
    "resume",
}
"""Settings that change speed, memory and safety. They change the result only by rounding and by the order of dropout
draws, so a run may resume with other values."""


class LoraSettings(Settings):
    """Names are peft's own."""

    r: PositiveInt = 8
    """Rank of the adapter's matrices."""
    lora_alpha: PositiveInt = 32
    """The adapter's output is multiplied by `lora_alpha / r`."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the adapter's inputs that are dropped in training."""
    target_modules: str | list[str] = "all-linear"
    """Modules that get an adapter: names, a pattern, or `all-linear`."""
    layers_to_transform: list[int] | None = None
    """Only these layers, counted from 0; null is all."""
    use_rslora: bool = False
    """Multiply by `lora_alpha / sqrt(r)` instead."""
    use_dora: bool = False
    """Train direction and size of each weight apart (DoRA)."""
    init_lora_weights: Literal[True, "gaussian", "orthogonal"] = True
    """Initialisations that begin as the base model. PiSSA, OLoRA and their like move the base weights, so that the
    adapter switched off would no longer be the model the regulariser has to stay near."""

    @field_validator("target_modules")
    @classmethod
    def _leave_the_vocabulary_alone(cls, value: str | list[str]) -> str | list[str]:
        if touched := {"lm_head", "embed_tokens"} & set([value] if isinstance(value, str) else value):
            raise ValueError(
                f"{', '.join(touched)}: the vocabulary projection is shared with the reference model and stays as it is"
            )
        return value


class ProbeSettings(Settings):
    """The head of `lora_probe` and `probe`: layer norm, one hidden layer, two logits."""

    hidden_size: PositiveInt = 256
    """Width of the hidden layer."""
    learning_rate: PositiveFloat = 1e-3
    """Learning rate of the head; the adapter's is `training.learning_rate`."""


class ObjectiveSettings(Settings):
    query_loss: Literal["cross_entropy", "brier", "focal"] = "cross_entropy"
    """Loss of the verdict. The formulas are in training/objective.py."""
    targets: Literal["hard", "soft"] = "hard"
    """`hard`: the grade of the proposed answer. `soft`: the share k/n of correct ones among all graded answers to the
    question, the proposed one and the sampled ones (`curation.samples`)."""
    focal_gamma: NonNegative = 2.0
    """Exponent of the focal loss."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each target that is moved to 1/2."""
    mass_weight: NonNegative = 0.1
    """Weight of -log(mass on the two answer tokens); 1 with cross_entropy is cross-entropy over the vocabulary, 0 is
    over the two answer tokens alone. Probes have no use for it."""
    kl: Literal["forward_kl", "reverse_kl", "jsd"] = "forward_kl"
    """Kind of divergence from the untuned model."""
    kl_weight: NonNegative = 1.0
    """Weight of the divergence from the adapter-free model on the answer's tokens; 0 switches the term off."""
    answer_nll_weight: NonNegative = 0.0
    """Weight of -log p(answer token) on proposed answers that were graded correct; moves token-level calibration."""


class TrainingSettings(Settings):
    method: Method = "lora_prompt"
    """`lora_prompt`: an adapter, read off the query's answer tokens. `lora_probe`: an adapter with a head on the last
    hidden state. `probe`: the head alone, on the untouched model. `none`: no steps; the readout and the calibrator are
    fitted on the untuned model."""
    readout: Literal["query", "stacked"] = "stacked"
    """`query`: the confidence is the uncertainty query's. `stacked`: the query, the likelihood of the answer and its
    hidden states in the untuned model together, which costs one more pass over the answer."""
    seed: Seed | None = None
    """Seed of initialisation, data order and dropout; by default the run's. Another seed needs no new curation."""
    lora: LoraSettings = LoraSettings()
    probe: ProbeSettings = ProbeSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    learning_rate: PositiveFloat = 1e-4
    """The highest learning rate of AdamW, reached after warm-up."""
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape in which the learning rate falls after warm-up."""
    warmup_ratio: Fraction = 0.05
    """Share of the steps in which the learning rate rises."""
    weight_decay: NonNegative = 0.0
    """AdamW's weight decay, on all trained weights."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients with a larger norm are scaled down to it."""
    epochs: PositiveFloat = 3
    """Passes over the training examples; may be a fraction."""
    batch_size: PositiveInt = 32
    """Examples per optimizer step, over all processes. Except for dropout's draws, the result does not depend on how
    many there are."""
    tokens_per_batch: PositiveInt = 8192
    """Tokens of one forward pass on one device, at most, padding counted in. A step is cut into as many passes as that
    takes (gradient accumulation); lower it when memory runs out."""
    batching: Literal["padded", "packed"] = "padded"
    """`padded`: rows of similar length after a shared few-shot block. `packed`: all examples of a pass in one row
    without padding, none attending to another; shares the block under gradient checkpointing too."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""
    torch_compile: bool = False
    """Compile the decoder layers; pays off after some hundred steps."""
    evaluations: PositiveInt = 5
    """Number of times the validation split is scored, evenly spaced over training."""
    select_by: Literal["brier", "nll"] = "brier"
    """The proper score on the validation split by which the best adapter is kept."""
    checkpoints: PositiveInt = 20
    """Number of checkpoints to resume from, evenly spaced over training."""
    keep_checkpoints: PositiveInt = 2
    """Number of these that stay on disk, beside the best."""
    resume: Literal["auto", "never"] = "auto"
    """`auto`: the same command resumes from the last whole checkpoint; `never` starts over."""
    token_temperature: Literal["none", "adaptive"] = "none"
    """`adaptive`: after training, a linear head is fitted that gives each position a temperature, by which the untuned
    model's token logits are divided. It changes no greedy answer and no confidence, only token probabilities."""
    calibrator: CalibratorName = "temperature"
    """Post-hoc map fitted on the `calibration` split after training."""

    @property
    def trains(self) -> bool:
        """Whether there is a step at all."""
        return self.method != "none"

    @property
    def epochs_trained(self) -> float:
        """`epochs`, or 0 where the method trains nothing."""
        return self.epochs if self.trains else 0
