"""One example as the model reads it: decoded from its token ids, with the supervised token marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration, Question

PartName = Literal["block", "question", "answer", "query", "verdict"]
# The block and the question are read only; the answer's tokens are held near the base model; the verdict is learnt.
COLOURS: dict[PartName, str] = {
    "block": "dim",
    "question": "",
    "answer": "cyan",
    "query": "",
    "verdict": "bold green",
}
LEGEND: dict[PartName, str] = {
    "block": "few-shot block",
    "answer": "regularised tokens (the answer)",
    "verdict": "supervised token",
}


@dataclass(frozen=True)
class Part:
    name: PartName
    token_ids: list[int]
    text: str


def example_parts(
    prompt_format: PromptFormat,
    block: Sequence[Demonstration],
    question: Question | str,
    answer_ids: Sequence[int],
    is_correct: bool,
) -> list[Part]:
    """The example's parts in order; their texts together are the decoding of their tokens together."""
    no, yes = prompt_format.answer_tokens
    parts: dict[PartName, list[int]] = {
        "block": prompt_format.few_shot_ids(block),
        "question": prompt_format.judged_ids(question),
        "answer": list(answer_ids),
        "query": prompt_format.query_ids,
        "verdict": [yes if is_correct else no],
    }
    shown: list[Part] = []
    ids: list[int] = []
    before = ""
    for name, part_ids in parts.items():
        ids += part_ids
        # Decoded from the beginning each time: the text of a token may depend on the one before it.
        after = str(prompt_format.tokenizer.decode(ids))
        shown.append(Part(name, part_ids, after[len(before) :]))
        before = after
    return shown


def legend() -> Text:
    return Text("  ").join(Text(text, COLOURS[name]) for name, text in LEGEND.items())


def conversation(parts: Sequence[Part], most_of_block: int | None = None) -> Text:
    """The parts in colours; of a block longer than `most_of_block` characters, its beginning and its end."""
    texts = [(part.text, COLOURS[part.name]) for part in parts]
    block = parts[0].text
    if most_of_block is not None and len(block) > most_of_block:
        half = most_of_block // 2
        left_out = f" [... {len(block) - 2 * half:,} characters ...] "
        texts[:1] = [(block[:half], COLOURS["block"]), (left_out, "italic"), (block[-half:], COLOURS["block"])]
    return Text.assemble(*texts)


def token_counts(parts: Sequence[Part]) -> str:
    """How many tokens each part has, and which one is supervised."""
    counts = ", ".join(f"{part.name} {len(part.token_ids)}" for part in parts)
    answer, verdict = parts[2], parts[4]
    position = sum(len(part.token_ids) for part in parts[:4])
    return (
        f"tokens: {counts}; regularised {answer.text!r}; supervised {verdict.text!r} (id {verdict.token_ids[0]}, "
        f"position {position})"
    )
