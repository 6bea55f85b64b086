"""What is trained: each method takes the loaded model and returns it, made ready, with the head that reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from peft.tuners.tuners_utils import BaseTunerLayer

from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.training import LoraSettings, Method
from calibration_tuning.errors import UserError
from calibration_tuning.lm.probe import Probe


def lora_prompt(config: RunConfig, lm: Any) -> tuple[Any, Probe | None]:
    """An adapter, read off the two answer tokens of the query."""
    return with_adapter(config, lm), None


def lora_probe(config: RunConfig, lm: Any) -> tuple[Any, Probe | None]:
    """An adapter, read by a head on the last hidden state of the query."""
    return with_adapter(config, lm), make_probe(config, lm)


def probe(config: RunConfig, lm: Any) -> tuple[Any, Probe | None]:
    """A head on the last hidden state of the query, the model untouched."""
    return lm.requires_grad_(False), make_probe(config, lm)


METHODS: dict[Method, Callable[[RunConfig, Any], tuple[Any, Probe | None]]] = {
    "lora_prompt": lora_prompt,
    "lora_probe": lora_probe,
    "probe": probe,
}


def with_adapter(config: RunConfig, lm: Any) -> Any:
    if config.model.load_in_4bit:
        checkpointing = config.training.gradient_checkpointing
        lm = prepare_model_for_kbit_training(lm, use_gradient_checkpointing=checkpointing)
    tuned = get_peft_model(lm, lora_config(config.training.lora))
    if isinstance(lm.get_output_embeddings(), BaseTunerLayer):
        raise UserError(
            "training.lora.target_modules: reaches the vocabulary projection, which is shared with the reference model "
            "and has to stay as it is; name other modules"
        )
    return tuned


def lora_config(settings: LoraSettings) -> LoraConfig:
    return LoraConfig(task_type="CAUSAL_LM", **settings.model_dump())


def make_probe(config: RunConfig, lm: Any) -> Probe:
    return Probe(lm.config.get_text_config().hidden_size, config.training.probe.hidden_size)


def parameter_groups(config: RunConfig, lm: Any, head: Probe | None) -> list[dict[str, Any]]:
    """The optimizer's parameter groups: the adapter, and the head with a separate learning rate."""
    adapter = [p for p in lm.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": adapter, "lr": config.training.learning_rate}] if adapter else []
    if head is not None:
        groups.append({"params": list(head.parameters()), "lr": config.training.probe.learning_rate})
    return groups
