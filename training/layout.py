"""Examples of one forward pass laid out as tensors: padded rows, or all in one row without padding.

Both yield the same keys, so that the model needs to know nothing of the difference:

    prefix_ids [L]                 the few-shot block, where it is run once and shared through its KV cache; else empty
    input_ids, position_ids [B, T]
    attention_mask [B, T]          of padded rows
    owner [T]                      of a packed row: the example each token belongs to, -1 for the shared block; absent
                                   where positions tell examples apart
    query_rows, query_cols [n]     where the n examples' verdicts are read
    answer_rows, answer_cols [P]   the positions that predict the P answer tokens
    answer_ids, answer_example [P] the tokens, and the example each belongs to
    answer_share [P]               1 / (number of answer tokens of its example)
    reference_columns [R]          the columns the reference model has to see: all but the queries
    chunks []                      parts in which the answers' vocabulary logits are made
    correct, grade, weight [n]     the query's target, the answer's own grade, and the weight in the loss
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from calibration_tuning.config.run import RunConfig
from calibration_tuning.lm.batches import left_pad
from training.examples import Example
from training.passes import cut_into_passes

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """How passes are laid out. `shared_block`: the few-shot block is run once a pass rather than in every example."""

    kind: Literal["padded", "packed"]
    block: list[int]
    query_length: int
    pad_id: int
    shared_block: bool
    custom_mask: bool = True
    """Packed only: whether the attention takes a custom mask. Flash attention tells examples apart by positions."""

    @property
    def shared_length(self) -> int:
        """Tokens of the block, if a pass reads it once; else 0."""
        return len(self.block) if self.shared_block else 0

    def width(self, length: int) -> int:
        """Tokens that an example of `length` tokens adds to a pass. A block shared through the cache is not read again,
        but its keys and values are repeated in every row; they take about an eighth of the memory of as many tokens."""
        if not self.shared_block:
            return length + len(self.block)
        return length + (len(self.block) // 8 if self.kind == "padded" else 0)

    def rounds(self, examples: Sequence[Example], tokens_per_batch: int, processes: int) -> list[list[list[int]]]:
        """Positions in `examples` by round and process: see `cut_into_passes`."""
        widths = [self.width(len(example.input_ids)) for example in examples]
        return cut_into_passes(widths, tokens_per_batch - self.shared_length, processes, self.kind == "packed")

    def largest_pass(self, longest: int, rows: int, tokens_per_batch: int) -> int:
        """Tokens of a forward pass over `rows` examples of `longest` tokens, as far as the budget takes them."""
        width = self.width(longest)
        return max(width, min(rows * width, tokens_per_batch - self.shared_length)) + self.shared_length

    def tokens_read(self, examples: int, mean: float, passes: int) -> float:
        """Tokens that the model reads in `passes` forward passes over `examples` examples of `mean` tokens."""
        if self.shared_block:
            return examples * mean + passes * len(self.block)
        return examples * (mean + len(self.block))

    def batch(self, examples: Sequence[Example], weight: float, chunks: int) -> Batch:
        """The tensors of a pass over `examples`. `weight` is that of each example in the loss, 0 for those that only
        fill a pass. Raises ValueError where there are no examples."""
        if not examples:
            raise ValueError("a batch without a supervised query position has no loss")
        made = (_padded if self.kind == "padded" else _packed)(self, examples)
        made["correct"] = torch.tensor([float(example.correct) for example in examples])
        made["grade"] = torch.tensor([float(example.grade) for example in examples])
        made["weight"] = torch.full((len(examples),), weight)
        made["chunks"] = torch.tensor(chunks)
        return made


def layout_of(config: RunConfig, block: list[int], query_length: int, pad_id: int, is_fsdp: bool) -> Layout:
    """The layout that these settings ask for.

    Through a KV cache the block is a separate forward pass. Then it cannot be shared where layers are checkpointed
    (they recompute without a cache), under FSDP (which has freed the weights when gradients come back through it), or
    where layers are compiled (they would be compiled again for the cache of every layer). In one row with the examples
    it can always be shared, except with flash attention, which takes no custom mask.
    """
    settings = config.training
    custom_mask = config.model.attn_implementation != "flash_attention_2"
    cached = not (settings.gradient_checkpointing or settings.torch_compile or is_fsdp)
    return Layout(
        kind=settings.batching,
        block=block,
        query_length=query_length,
        pad_id=pad_id,
        shared_block=custom_mask if settings.batching == "packed" else cached,
        custom_mask=custom_mask,
    )


def _padded(layout: Layout, examples: Sequence[Example]) -> Batch:
    head = [] if layout.shared_block else layout.block
    input_ids, mask = left_pad([[*head, *example.input_ids] for example in examples], layout.pad_id)
    width = input_ids.shape[1]
    # Rows end in the same column, so every answer ends where the query begins.
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


def own_and_block(owner: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask [1, 1, T, T]: a token sees the shared block (owner -1) and its example, up to itself."""
    seen = (owner.unsqueeze(1) == owner) | (owner == -1)
    seen = seen.tril_()
    return torch.zeros(seen.shape, dtype=dtype, device=owner.device).masked_fill_(~seen, torch.finfo(dtype).min)[
        None, None
    ]


def _answers(layout: Layout, examples: Sequence[Example], rows: list[int], ends: list[int]) -> Batch:
    """Where the answer tokens are, each predicted from the column before it. `ends`: columns at which queries begin."""
    tokens: list[tuple[int, int, int, int, float]] = []
    for number, (example, row, end) in enumerate(zip(examples, rows, ends, strict=True)):
        count = example.answer_length
        answer = example.input_ids[: len(example.input_ids) - layout.query_length][-count:] if count else []
        tokens += [(row, end - count + i - 1, token, number, 1 / count) for i, token in enumerate(answer)]
    names = ("answer_rows", "answer_cols", "answer_ids", "answer_example", "answer_share")
    columns = list(zip(*tokens, strict=True)) if tokens else [()] * len(names)
    kinds = [torch.long] * 4 + [torch.float32]
    return {n: torch.tensor(c, dtype=kind) for n, c, kind in zip(names, columns, kinds, strict=True)}
