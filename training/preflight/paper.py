"""Preflight plans a run without its weights: its memory with each sharding, its steps, time and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import load_model_config, load_tokenizer
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.records import QueryExample, Split
from training.examples import Example, query_example
from training.layout import Layout, Planned, layout_of
from training.memory import GIB, Memory, adapted, counts, estimate_memory
from training.methods import METHODS
from training.preflight.machines import CONTEXT, SHARDINGS, Gpu, Sharding
from training.preflight.shapes import stated_shape
from training.query_model import QueryModel
from training.step_order import StepOrder
from training.untuned import loads_anew

ASSUMED_LENGTH = 200
"""The number of tokens that an example and the few-shot block are assumed to have before curation."""
PLANNED_SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "test")
QUANTIZED = 0.53
"""Bytes per weight in NF4 with double quantization (Dettmers et al. 2023)."""


@dataclass
class Paper:
    """A `Paper` plans a run without its weights. Raises `UserError` if the model or the curated set cannot be read."""

    config: RunConfig
    gpus: int
    gpu: Gpu
    unreachable: UserError | None = field(default=None, init=False)
    """Why the model's files cannot be read, where its shape is known all the same; None if they can be read."""
    _planned: dict[bool, Planned] = field(default_factory=dict, init=False)

    @property
    def model(self) -> QueryModel:
        """Return the model with its adapter and probe on the meta device, where tensors have shapes but no values."""
        if isinstance(self._model, UserError):
            raise self._model
        return self._model

    @cached_property
    def _model(self) -> QueryModel | UserError:
        # An unreachable hub is tried for half a minute. The error is kept, so that later checks need not wait again.
        try:
            return self._build()
        except UserError as error:
            return error

    def _build(self) -> QueryModel:
        settings = self.config.model
        try:
            shape = load_model_config(settings)
        except UserError as error:
            shape = stated_shape(settings.path)
            if shape is None:
                raise
            self.unreachable = UserError(f"{error}; memory and time are planned from its known shape")
        unquantized = settings.model_copy(update={"load_in_4bit": False})
        config = self.config.model_copy(update={"model": unquantized})
        with torch.device("meta"):
            lm = AutoModelForCausalLM.from_config(shape, dtype=self.dtype, trust_remote_code=settings.trust_remote_code)
            lm, head = METHODS[self.config.training.method](config, lm)
            return QueryModel(lm, (0, 1), self.config.training.objective, head)

    @property
    def dtype(self) -> torch.dtype:
        name = self.config.model.dtype
        return torch.bfloat16 if name == "auto" else getattr(torch, name)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        _ = self.model  # if the model cannot be read, neither can its tokenizer
        if self.unreachable is not None:
            raise self.unreachable
        return load_tokenizer(self.config.model)

    @cached_property
    def prompt_format(self) -> PromptFormat:
        return load_prompt_format(self.config.model, tokenizer=self.tokenizer)

    @property
    def is_curated(self) -> bool:
        return (self.config.curation_dir / "manifest.json").is_file()

    @cached_property
    def curated(self) -> CuratedSet:
        return CuratedSet.read(self.config.curation_dir)

    @cached_property
    def rows(self) -> dict[str, list[QueryExample]]:
        return {split: self.curated.split(split) for split in PLANNED_SPLITS}

    @cached_property
    def evaluation_rows(self) -> list[QueryExample]:
        """Return the questions of sets that are never trained on; none if there are no such sets."""
        return self.curated.split("evaluation") if self.curated.has("evaluation") else []

    @cached_property
    def block(self) -> list[int]:
        return self.prompt_format.few_shot_ids(self.curated.few_shot.query)

    @cached_property
    def examples(self) -> dict[str, list[Example]]:
        return {split: [query_example(row, self.prompt_format) for row in rows] for split, rows in self.rows.items()}

    @cached_property
    def lengths(self) -> dict[str, list[int]]:
        """Return the number of tokens in every example, by split, without the few-shot block."""
        if self.is_curated:
            return {split: [len(e.input_ids) for e in examples] for split, examples in self.examples.items()}
        sizes = self.config.curation.sizes
        return {split: [ASSUMED_LENGTH] * getattr(sizes, split) for split in PLANNED_SPLITS}

    @property
    def block_length(self) -> int:
        return len(self.block) if self.is_curated else ASSUMED_LENGTH

    @property
    def steps(self) -> StepOrder:
        training = self.config.training
        return StepOrder(
            len(self.lengths["train"]), training.batch_size, training.epochs_trained, self.config.training_seed
        )

    def layout(self, sharding: Sharding) -> Layout:
        # Only the lengths of passes are used here, so the ids of their tokens do not matter.
        return layout_of(self.config, self.model.config, [0] * self.block_length, 0, sharding.is_fsdp)

    def memory(self, sharding: Sharding) -> Memory:
        """Estimate the memory on one device in the largest forward pass."""
        shards = lambda split: self.gpus if split else 1  # noqa: E731
        # Weights packed by bitsandbytes are not split.
        is_split = self.splits(sharding) and not self.config.model.load_in_4bit
        return estimate_memory(
            self.model.config.get_text_config(),
            self.frozen_bytes(in_training=True),
            counts(self.model)[0],
            2 if self.dtype != torch.float32 else 4,
            self.planned(sharding).largest,
            self.config.training.gradient_checkpointing,
            adapted(self.model),
            shards(is_split),
            shards(sharding.optimizer),
            shards(sharding.gradients),
        )

    def reading_bytes(self, sharding: Sharding) -> float:
        """Return the memory on one device while the untuned model reads the answers after the last step, without its
        activations: what training leaves there, and a second model where that is needed."""
        training = self.config.training
        if training.readout == "query" and training.token_temperature == "none":
            return 0.0
        memory = self.memory(sharding)
        second = self.base_bytes if loads_anew(self.config, self.splits(sharding)) else 0.0
        return memory.weights + memory.trained + memory.optimizer + second

    def splits(self, sharding: Sharding) -> bool:
        """Return true if the base model is split over the GPUs. Without training, each of them has the whole."""
        return sharding.base and self.config.training.trains

    def fits(self, sharding: Sharding) -> bool:
        return max(self.memory(sharding).total, self.reading_bytes(sharding)) / GIB + CONTEXT <= self.gpu.memory

    @property
    def file_bytes(self) -> float:
        """Return the size in bytes of the base model's weights as they are downloaded, before any quantization."""
        return float(sum(p.numel() * p.element_size() for p in self.model.parameters() if not p.requires_grad))

    @property
    def base_bytes(self) -> float:
        """Return the size in bytes of the base model's weights as they are loaded."""
        return self.frozen_bytes(in_training=False)

    def frozen_bytes(self, in_training: bool) -> float:
        """Return the size in bytes of the base model's weights. For training, PEFT turns those that are not quantized
        in a model of 4 bits into float32."""
        frozen = [p for p in self.model.parameters() if not p.requires_grad]
        if not self.config.model.load_in_4bit:
            return float(sum(p.numel() * p.element_size() for p in frozen))
        linear = {id(m.weight) for m in self.model.modules() if isinstance(m, nn.Linear)}
        quantized = linear - {id(self.model.lm.get_output_embeddings().weight)}
        return float(
            sum(
                p.numel() * (QUANTIZED if id(p) in quantized else 4 if in_training else p.element_size())
                for p in frozen
            )
        )

    def planned(self, sharding: Sharding) -> Planned:
        """Return the statistics of the passes: the largest pass, passes per step on a device, and the device's busy
        share."""
        layout, budget = self.layout(sharding), self.config.training.tokens_per_batch
        if layout.shared_block not in self._planned:  # in nothing else do the layouts of a run differ
            planned = layout.planned(self.lengths["train"], self.steps, budget, self.gpus)
            self._planned[layout.shared_block] = planned
        return self._planned[layout.shared_block]

    def step_tokens(self, sharding: Sharding) -> float:
        """Return the number of tokens that all devices together read in a step, including the few-shot blocks."""
        lengths = self.lengths["train"]
        passes = self.planned(sharding).passes * self.gpus
        return self.layout(sharding).tokens_read(self.config.training.batch_size, sum(lengths) / len(lengths), passes)

    def with_batch_size(self, size: int) -> Paper:
        """Return the plan of the same training with another batch size. What has been read is not read again."""
        training = self.config.training.model_copy(update={"batch_size": size})
        other = replace(self, config=self.config.model_copy(update={"training": training}))
        names = ("_model", "lengths", "block", "examples", "curated", "rows")
        other.__dict__.update({name: self.__dict__[name] for name in names if name in self.__dict__})
        return other


def fitting(paper: Paper) -> Sequence[str]:
    return [name for name, sharding in SHARDINGS.items() if paper.fits(sharding)]


def chosen_gpu(name: str, known: dict[str, Gpu]) -> Gpu:
    if name not in known:
        raise UserError(f"--gpu {name}: unknown; use one of {', '.join(known)}")
    return known[name]
