"""A `Layout` turns the examples of a forward pass into tensors: padded rows, or a single packed row without padding.

The model reads both kinds through the same keys:

    prefix_ids [L]                 the few-shot block if it runs once and is shared through its KV cache, else empty
    input_ids, position_ids [B, T]
    attention_mask [B, T]          padded rows only
    owner [T]                      packed row only: the example that each token belongs to, -1 for the shared block, -2
                                   for padding at the end; absent with flash attention, which separates examples by
                                   their positions
    query_rows, query_cols [n]     the positions at which the n examples' verdicts are read
    answer_rows, answer_cols [P]   the positions that predict the P answer tokens
    answer_ids, answer_example [P] the answer tokens, and the example that each belongs to
    answer_share [P]               1 / (number of answer tokens in the token's example)
    reference_columns [R]          the columns that the reference model reads: all except the queries
    reference [P, H]               its hidden states at the answer tokens, where they are kept (training/reference.py)
    chunks                         an int: the number of parts in which the answers' vocabulary logits are computed
    correct, grade, weight [n]     the query's target, the answer's grade, and the example's weight in the loss
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import UserError
from calibration_tuning.lm.batches import PAD, left_pad
from calibration_tuning.lm.caches import packs, shares_block
from training.examples import Example
from training.passes import cut_into_passes, pass_tokens
from training.step_order import StepOrder

Batch = dict[str, Any]
ALIGNED = 16
"""Packed rows are filled up to a multiple of it. CUDA's attention kernel would copy a mask of another width in every
layer, to align its rows."""


class Planned(NamedTuple):
    """`Planned` says what the passes of a training will be like."""

    largest: int
    """The number of tokens in the largest pass."""
    passes: float
    """The number of passes that a process runs in a step, a mean over steps."""
    busy: float
    """The share of the time in which processes compute. A process with a smaller pass waits for the largest of the
    round."""


@dataclass(frozen=True)
class Layout:
    """A `Layout` lays out passes. With `shared_block` the few-shot block runs once in a pass, not in every example."""

    kind: Literal["padded", "packed"]
    block: list[int]
    query_length: int
    shared_block: bool
    custom_mask: bool = True
    """Whether packed rows use a custom mask. Flash attention separates examples by their positions instead."""

    @property
    def shared_length(self) -> int:
        """Return the number of tokens in the block if a pass reads it once, otherwise 0."""
        return len(self.block) if self.shared_block else 0

    def width(self, length: int) -> int:
        """Return the number of tokens that an example of `length` tokens adds to a pass.

        Padded rows repeat the keys and values of a shared block, which take about an eighth of its tokens' memory.
        """
        if not self.shared_block:
            return length + len(self.block)
        return length + (len(self.block) // 8 if self.kind == "padded" else 0)

    def rounds(self, examples: Sequence[Example], tokens_per_batch: int, processes: int) -> list[list[list[int]]]:
        """Cut examples into passes. Returns positions in `examples` by round and process, as `cut_into_passes` does."""
        return self._cut([self.width(len(example.input_ids)) for example in examples], tokens_per_batch, processes)

    def _cut(self, widths: Sequence[int], tokens_per_batch: int, processes: int) -> list[list[list[int]]]:
        return cut_into_passes(widths, tokens_per_batch - self.shared_length, processes, self.kind == "packed")

    def planned(self, lengths: Sequence[int], order: StepOrder, tokens_per_batch: int, processes: int) -> Planned:
        """Return what the passes over examples of these lengths will be like. Every step of the first epoch is cut, and
        the other epochs are taken to be like it. Without steps, a first step stands for the passes that only read."""
        widths = [self.width(length) for length in lengths]
        steps, tokens = max(1, min(order.steps, ceil(order.examples / order.batch_size))), 0
        largest: list[int] = []
        for step in range(steps):
            step_widths = [widths[i] for i in order.step(step)]
            for shares in self._cut(step_widths, tokens_per_batch, processes):
                filled = [pass_tokens([step_widths[i] for i in share], self.kind == "packed") for share in shares]
                largest.append(max(filled) + self.shared_length)
                tokens += sum(n + self.shared_length for n in filled if n)
        return Planned(max(largest), len(largest) / steps, tokens / (processes * sum(largest)))

    def tokens_read(self, examples: int, mean: float, passes: float) -> float:
        """Return the number of tokens read in `passes` forward passes over `examples` examples of `mean` tokens."""
        if self.shared_block:
            return examples * mean + passes * len(self.block)
        return examples * (mean + len(self.block))

    def batch(self, examples: Sequence[Example], weight: float, chunks: int) -> Batch:
        """Return the tensors of a pass over `examples`.

        `weight` is the weight of each example in the loss; it is 0 if the examples only fill a pass. Raises ValueError
        if there are no examples.
        """
        if not examples:
            raise ValueError("a batch without a supervised query position has no loss")
        tensors = (_padded if self.kind == "padded" else _packed)(self, examples)
        tensors["correct"] = torch.tensor([float(example.correct) for example in examples])
        tensors["grade"] = torch.tensor([float(example.grade) for example in examples])
        tensors["weight"] = torch.full((len(examples),), weight)
        tensors["chunks"] = chunks
        return tensors


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on `device`. Numbers stay: to read one from a GPU, the host waits for it.

    The host would also wait while more than 64 KiB are copied from memory that is not pinned.
    """

    def copy(value: Tensor) -> Tensor:
        return (value.pin_memory() if device.type == "cuda" else value).to(device, non_blocking=True)

    return {name: copy(value) if isinstance(value, Tensor) else value for name, value in batch.items()}


def layout_of(config: RunConfig, model_config: Any, block: list[int], query_length: int, is_fsdp: bool) -> Layout:
    """Return the layout for these settings.

    A packed row contains the few-shot block and shares it, except with flash attention, which takes no custom mask.
    Padded rows share it through a KV cache, which a separate forward pass fills. Four cases rule that out: layers that
    are checkpointed (they are recomputed without a cache), FSDP (it has freed the weights when gradients come back
    through the cache), layers that are compiled (each layer's cache would compile them again), and models whose state
    cannot be shared (`shares_block`). Raises `UserError` if the model cannot read several examples in one row.
    """
    settings = config.training
    custom_mask = config.model.attn_implementation != "flash_attention_2"
    if settings.batching == "packed" and not packs(model_config, custom_mask):
        raise UserError(
            f"training.batching: packed, but in a {model_config.get_text_config().model_type} model an example would "
            "see the examples before it; set it to padded"
        )
    blocked = settings.gradient_checkpointing or settings.torch_compile or is_fsdp
    cached = not blocked and shares_block(model_config, len(block))
    return Layout(
        kind=settings.batching,
        block=block,
        query_length=query_length,
        shared_block=custom_mask if settings.batching == "packed" else cached,
        custom_mask=custom_mask,
    )


def _padded(layout: Layout, examples: Sequence[Example]) -> Batch:
    head = [] if layout.shared_block else layout.block
    input_ids, mask = left_pad([[*head, *example.input_ids] for example in examples])
    width = input_ids.shape[1]
    # All rows end in the same column, so in each row the answer ends and the query begins at column `end`.
    end = width - layout.query_length
    return {
        "prefix_ids": torch.tensor(layout.block if layout.shared_block else [], dtype=torch.long),
        "input_ids": input_ids,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0) + (len(layout.block) if layout.shared_block else 0),
        "attention_mask": mask,
        "query_rows": torch.arange(len(examples)),
        "query_cols": torch.full((len(examples),), width - 1),
        "reference_columns": torch.arange(end),
        **_answers(layout, examples, rows=list(range(len(examples))), ends=[end] * len(examples)),
    }


def _packed(layout: Layout, examples: Sequence[Example]) -> Batch:
    block = layout.block
    head = [] if layout.shared_block else block
    pieces = [[*head, *example.input_ids] for example in examples]
    ids = [*block] if layout.shared_block else []
    positions = list(range(len(ids)))
    owner = [-1] * len(ids)
    query = [False] * len(ids)
    ends = []
    for number, piece in enumerate(pieces):
        ids += piece
        start = len(block) if layout.shared_block else 0
        positions += range(start, start + len(piece))
        owner += [number] * len(piece)
        query += [False] * (len(piece) - layout.query_length) + [True] * layout.query_length
        ends.append(len(ids) - layout.query_length)
    if layout.custom_mask:
        spare = -len(ids) % ALIGNED
        ids, positions = ids + [PAD] * spare, positions + [0] * spare
        owner, query = owner + [-2] * spare, query + [False] * spare
    batch = {
        "prefix_ids": torch.tensor([], dtype=torch.long),
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "query_rows": torch.zeros(len(examples), dtype=torch.long),
        "query_cols": torch.tensor(ends) + layout.query_length - 1,
        "reference_columns": torch.tensor([not q for q in query]).nonzero().flatten(),
        **_answers(layout, examples, rows=[0] * len(examples), ends=ends),
    }
    if layout.custom_mask:
        batch["owner"] = torch.tensor(owner)
    return batch


def block_causal_mask(owner: Tensor, dtype: torch.dtype) -> Tensor:
    """Return an additive mask [1, 1, T, T]. A token sees the shared block (owner -1) and its example, up to itself.

    No token of an example sees the padding (owner -2).
    """
    visible = (owner.unsqueeze(1) == owner) | (owner == -1)
    visible = visible.tril_()
    return torch.zeros(visible.shape, dtype=dtype, device=owner.device).masked_fill_(~visible, torch.finfo(dtype).min)[
        None, None
    ]


def _answers(layout: Layout, examples: Sequence[Example], rows: list[int], ends: list[int]) -> Batch:
    """Positions of the answer tokens. The column before a token predicts it. Queries begin at the columns `ends`."""
    tokens: list[tuple[int, int, int, int, float]] = []
    for number, (example, row, end) in enumerate(zip(examples, rows, ends, strict=True)):
        count = example.answer_length
        answer = example.input_ids[: len(example.input_ids) - layout.query_length][-count:] if count else []
        tokens += [(row, end - count + i - 1, token, number, 1 / count) for i, token in enumerate(answer)]
    names = ("answer_rows", "answer_cols", "answer_ids", "answer_example", "answer_share")
    columns = list(zip(*tokens, strict=True)) if tokens else [()] * len(names)
    kinds = [torch.long] * 4 + [torch.float32]
    return {n: torch.tensor(c, dtype=kind) for n, c, kind in zip(names, columns, kinds, strict=True)}
