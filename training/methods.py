"""A training method prepares the loaded model for training. It returns the model and its probe, or None."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from peft.tuners.tuners_utils import BaseTunerLayer

from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.training import LoraSettings, Method
from calibration_tuning.errors import UserError
from calibration_tuning.lm.probe import Probe


def lora_prompt(config: RunConfig, lm: Any) -> tuple[Any, Probe | None]:
    """Train an adapter. The confidence is read off the two answer tokens of the query."""
    return with_adapter(config, lm), None


def lora_probe(config: RunConfig, lm: Any) -> tuple[Any, Probe | None]:
    """Train an adapter and a probe, which reads the confidence off the last hidden state of the query."""
    return with_adapter(config, lm), make_probe(config, lm)


def probe(config: RunConfig, lm: Any) -> tuple[Any, Probe | None]:
    """Train only a probe on the last hidden state of the query. The model does not change."""
    return lm.requires_grad_(False), make_probe(config, lm)


def none(config: RunConfig, lm: Any) -> tuple[Any, Probe | None]:
    """Train nothing. The readout and the calibrator are fitted on the untuned model."""
    return lm.requires_grad_(False), None


FUSED = {
    *("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"),
    *("bamba", "granitemoehybrid", "jamba", "zamba", "zamba2"),
}
PAST_ADAPTERS = ["out_proj", "conv1d", "dt_proj"]
"""In `FUSED` families the state-space kernels read the weights of these modules directly, so an adapter there has no
effect. PEFT itself refuses the first two for some of the families."""

METHODS: dict[Method, Callable[[RunConfig, Any], tuple[Any, Probe | None]]] = {
    "lora_prompt": lora_prompt,
    "lora_probe": lora_probe,
    "probe": probe,
    "none": none,
}


def with_adapter(config: RunConfig, lm: Any) -> Any:
    if config.model.load_in_4bit:
        checkpointing = config.training.gradient_checkpointing
        lm = prepare_model_for_kbit_training(lm, use_gradient_checkpointing=checkpointing)
    lora = lora_config(config.training.lora)
    if lora.target_modules == "all-linear" and lm.config.get_text_config().model_type in FUSED:
        lora.exclude_modules = PAST_ADAPTERS
    elif beside := beside_decoder(lm):
        lora.exclude_modules = rf"(?:{'|'.join(map(re.escape, beside))})(?:\..*)?"
    try:
        tuned = get_peft_model(lm, lora)
    except ValueError as error:  # modules that are missing, or that take no adapter of this kind
        message = " ".join(str(error).split())
        hint = "; set training.lora.lora_dropout to 0" if "lora_dropout" in message else ""
        raise UserError(f"training.lora: PEFT refuses this adapter ({message.rstrip('.')}){hint}") from None
    if isinstance(lm.get_output_embeddings(), BaseTunerLayer):
        raise UserError(
            "training.lora.target_modules: includes the vocabulary projection, which the reference model shares "
            "and which must not change; name other modules"
        )
    return tuned


def beside_decoder(lm: Any) -> list[str]:
    """Names of the modules that text does not pass, such as the vision tower of Gemma 3. An adapter in them would get
    no gradient, and data parallelism would take that for an error."""
    head, text = lm.get_output_embeddings(), lm.get_decoder()
    path = next(name for name, module in lm.named_modules() if module is text).split(".")
    beside = []
    for depth, decoder_name in enumerate(path if text is not lm else ()):
        parent = ".".join(path[:depth])
        for name, module in lm.get_submodule(parent).named_children():
            if name != decoder_name and module is not head and any(True for _ in module.parameters()):
                beside.append(f"{parent}.{name}".lstrip("."))
    return beside


def lora_config(settings: LoraSettings) -> LoraConfig:
    return LoraConfig(task_type="CAUSAL_LM", **settings.model_dump())


def make_probe(config: RunConfig, lm: Any) -> Probe:
    return Probe(lm.config.get_text_config().hidden_size, config.training.probe.hidden_size)


def parameter_groups(config: RunConfig, lm: Any, head: Probe | None) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups: the adapter, and the probe with a separate learning rate."""
    adapter = [p for p in lm.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": adapter, "lr": config.training.learning_rate}] if adapter else []
    if head is not None:
        groups.append({"params": list(head.parameters()), "lr": config.training.probe.learning_rate})
    return groups
