"""Everything a training run needs before its first step."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

from calibration_tuning.models import load_model, load_tokenizer, resolve_dtype
from calibration_tuning.processes import is_first_process, process_count
from calibration_tuning.prompts import PromptFormat
from calibration_tuning.records import FewShot, QueryExample, read_records
from calibration_tuning.run_config import RunConfig
from training.examples import Collator, query_example
from training.trainer import CalibrationTrainer


@dataclass(frozen=True)
class Inputs:
    prompt_format: PromptFormat
    few_shot: FewShot
    splits: dict[str, list[QueryExample]]

    @property
    def few_shot_ids(self) -> list[int]:
        return self.prompt_format.few_shot_ids(self.few_shot.query)

    def examples(self, split: str) -> list[dict[str, Any]]:
        return [query_example(row, self.prompt_format) for row in self.splits[split]]


def load_inputs(config: RunConfig) -> Inputs:
    tokenizer = load_tokenizer(config.model)
    folder = config.curation_dir
    return Inputs(
        PromptFormat.of(tokenizer, config.model.prompt_format),
        FewShot.model_validate(json.loads((folder / "few_shot.json").read_text(encoding="utf-8"))),
        {split: read_records(folder / f"{split}.parquet") for split in ("train", "validation", "calibration")},
    )


def build_trainer(config: RunConfig, inputs: Inputs) -> CalibrationTrainer:
    set_seed(config.seed)
    model = get_peft_model(
        load_model(config.model), LoraConfig(task_type="CAUSAL_LM", **config.training.lora.model_dump())
    )
    model.config.use_cache = False
    train = inputs.examples("train")
    arguments = training_arguments(config, len(train))
    if is_first_process():
        trained, total = model.get_nb_trainable_parameters()
        print(
            f"training {trained:,} of {total:,} parameters on {len(train):,} examples: "
            f"{arguments.max_steps} steps of {_global_batch(config)} examples"
        )
    return CalibrationTrainer(
        model,
        arguments,
        Collator(inputs.prompt_format.tokenizer.pad_token_id),
        train,
        inputs.examples("validation"),
        inputs.prompt_format.tokenizer,
        callbacks=[EvaluateEvenly(config.training.evaluations)],
        prompt_format=inputs.prompt_format,
        few_shot_ids=inputs.few_shot_ids,
        objective_settings=config.training.objective,
    )


def training_arguments(config: RunConfig, examples: int) -> TrainingArguments:
    settings = config.training
    on_cpu = not torch.accelerator.is_available()
    several = process_count() > 1
    steps = math.ceil(settings.epochs * math.ceil(examples / _global_batch(config)))
    return TrainingArguments(
        output_dir=str(work_folder(config)),
        seed=config.seed,
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=2 * settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        gradient_checkpointing=settings.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if settings.gradient_checkpointing else None,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.lr_scheduler,
        warmup_steps=math.ceil(settings.warmup_ratio * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=resolve_dtype(config.model.dtype) == torch.bfloat16 and not on_cpu,
        ddp_backend="gloo" if on_cpu and several else None,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        label_names=["labels"],
        eval_strategy="steps",
        eval_steps=steps,
        save_strategy="steps",
        save_steps=steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_brier",
        greater_is_better=False,
        logging_steps=max(1, steps // 20),
        report_to="none" if config.tracking.wandb == "disabled" else "wandb",
        run_name=f"{config.name}-train",
    )


class EvaluateEvenly(TrainerCallback):
    """Validation and a checkpoint at `count` evenly spaced steps, the last step among them."""

    def __init__(self, count: int) -> None:
        self.count = count

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        due = {round(state.max_steps * (k + 1) / self.count) for k in range(self.count)}
        if state.global_step in due:
            control.should_evaluate = control.should_save = True


def work_folder(config: RunConfig) -> Path:
    """Where the Trainer keeps its intermediate checkpoints while it runs."""
    return config.run_dir / ".training"


def _global_batch(config: RunConfig) -> int:
    settings = config.training
    return settings.batch_size * settings.gradient_accumulation_steps * process_count()
