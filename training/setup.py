"""`build_run` builds everything that a training needs before its first step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from transformers import get_scheduler, set_seed

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.lm.caches import check_window
from calibration_tuning.lm.curated_for import check_curated_for
from calibration_tuning.lm.models import (
    context_length,
    decoder,
    load_model,
    load_model_config,
    resolve_dtype,
)
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.records import FewShot, QueryExample, Split
from calibration_tuning.tracking import Tracker
from training.checkpoints import (
    OPTIMIZER,
    TRAINED,
    State,
    TrainingCheckpoint,
)
from training.examples import query_example, training_examples
from training.layout import layout_of
from training.loop import Run
from training.methods import METHODS, parameter_groups
from training.query_model import QueryModel
from training.reference import first_process_says, keep_reference, why_not_kept
from training.resume import saver
from training.step_order import StepOrder
from training.strategy import Strategy, loads_onto, start_strategy
from training.watch import Watch

TRAINING_SPLITS: tuple[Split, ...] = ("train", "validation", "calibration")
"""The splits that training reads. It never reads the test split."""


@dataclass(frozen=True)
class Inputs:
    """`Inputs` holds the splits of the curated set that training reads, and the format of its prompts."""

    prompt_format: PromptFormat
    few_shot: FewShot
    splits: dict[Split, list[QueryExample]]

    @property
    def block(self) -> list[int]:
        return self.prompt_format.few_shot_ids(self.few_shot.query)


def load_inputs(config: RunConfig, curated: CuratedSet) -> Inputs:
    """Read the splits that training needs. Raises `UserError` if the set was made with another model or prompt."""
    check_curated_for(curated, config.model)
    return Inputs(
        load_prompt_format(config.model),
        curated.few_shot,
        {split: curated.split(split) for split in TRAINING_SPLITS},
    )


def build_run(
    config: RunConfig,
    inputs: Inputs,
    accelerator: Accelerator,
    state: State,
    checkpoint: TrainingCheckpoint | None,
    tracker: Tracker,
) -> Run:
    settings = config.training
    longest = context_length(load_model_config(config.model), inputs.prompt_format.tokenizer) - len(inputs.block)
    train = training_examples(
        settings.objective,
        list(inputs.splits["train"]),
        inputs.prompt_format,
        longest,
        config.curation_dir / "train.parquet",
    )
    step_order = StepOrder(len(train), settings.batch_size, settings.epochs_trained, config.training_seed)
    strategy = build_strategy(config, inputs, accelerator)
    prompt_format, model_config = inputs.prompt_format, accelerator.unwrap_model(strategy.model).config
    layout = layout_of(config, model_config, inputs.block, len(prompt_format.query_ids), strategy.is_fsdp)
    validation, calibration = (
        [query_example(row, prompt_format) for row in inputs.splits[split]] for split in ("validation", "calibration")
    )
    if layout.shared_block:  # a sliding window would not reach over it, and the mask of packed rows ignores windows
        read = max(len(example.input_ids) for example in [*train, *validation, *calibration])
        check_window(model_config, len(inputs.block) + read)
    if checkpoint is not None:
        strategy.load_values(checkpoint.tensors(TRAINED))
        strategy.load_moments(checkpoint.tensors(OPTIMIZER), checkpoint.state.step)
    return Run(
        settings=settings,
        model=config.model,
        seed=config.training_seed,
        strategy=strategy,
        layout=layout,
        step_order=step_order,
        schedule=schedule(config, step_order.steps),
        train=train,
        validation=validation,
        validation_rows=inputs.splits["validation"],
        state=state,
        save=saver(config, strategy),
        watch=Watch(tracker, config.run_dir / "training.jsonl", state.step),
    )


def with_reference(config: RunConfig, run: Run) -> Run:
    """Return the run with the reference's states of its training examples, if they are kept. Every process calls it."""
    work, budget, identity = config.training_dir, run.settings.tokens_per_batch, run.state.inputs_fingerprint
    if not first_process_says(why_not_kept(run.settings, run.train, run.lm, work, identity) is None):
        return run
    return replace(run, reference=keep_reference(run.strategy, run.layout, run.train, budget, work, identity))


def uses_bf16(config: RunConfig) -> bool:
    return resolve_dtype(config.model.dtype) == torch.bfloat16


def build_strategy(config: RunConfig, inputs: Inputs, accelerator: Accelerator) -> Strategy:
    settings = config.training
    set_seed(config.training_seed)
    lm, head = METHODS[settings.method](config, load_model(config.model, loads_onto(accelerator, settings.trains)))
    if settings.gradient_checkpointing:
        lm.gradient_checkpointing_enable({"use_reentrant": False})
    if settings.torch_compile:
        for layer in decoder(lm).layers:
            layer.compile(dynamic=True)
    model = QueryModel(lm, inputs.prompt_format.answer_tokens, settings.objective, head)
    groups = parameter_groups(config, lm, head)
    return start_strategy(accelerator, model.train(), groups, settings.weight_decay, settings.max_grad_norm)


def schedule(config: RunConfig, steps: int) -> Callable[[int], float]:
    """Return the function from a step to the factor on the learning rates. It has no state to resume."""
    settings = config.training
    unused = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    warmup = round(settings.warmup_ratio * steps)
    name = "constant_with_warmup" if settings.lr_scheduler == "constant" else settings.lr_scheduler
    scheduler = get_scheduler(name, unused, num_warmup_steps=warmup, num_training_steps=steps)
    return scheduler.lr_lambdas[0]  # type: ignore[union-attr]
