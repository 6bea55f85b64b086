"""From graded answers to a curated set: the block of the query, the splits, and what is left over."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import RunError
from calibration_tuning.lm.models import context_length, load_model_config
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import FewShot, GradedAnswer, QueryExample
from data_curation.duplicates import Dropped, dropped
from data_curation.query_block import take_query_block
from data_curation.selection import Selection
from data_curation.shown_block import shown_block
from data_curation.splits import SIDES, assign_splits


@dataclass(frozen=True)
class Curated:
    few_shot: FewShot
    rows: list[QueryExample]
    left_over: list[Dropped]


def curated(
    config: RunConfig, prompt_format: PromptFormat, selection: Selection, graded: Sequence[GradedAnswer]
) -> Curated:
    """Graded answers with their splits, behind one block of demonstrations of the uncertainty query."""
    settings = config.curation
    training = {entry.source for entry in config.questions if entry.role == "train"}
    block, candidates = take_query_block([row for row in graded if row.source in training], settings.query_few_shot)
    examples, surplus = assign_splits(candidates, settings, config.seed)
    rows = [
        *examples,
        *(QueryExample(**row.model_dump(), split="evaluation") for row in graded if row.source not in training),
    ]
    longest = context_length(load_model_config(config.model), prompt_format.tokenizer)
    room = longest - len(prompt_format.few_shot_ids(block))
    fitting = [row for row in rows if sequence_length(row, prompt_format) <= room]
    few_shot = FewShot(
        by=settings.few_shot_by,
        answer=selection.demonstrations,
        query=block,
        shown=shown_block(fitting, selection, settings.few_shot_by, prompt_format, longest),
    )
    _check_sizes(config, candidates, examples, fitting)
    placed_ids = {row.id for row in rows} | {row.id for row in surplus}
    fitting_ids = {row.id for row in fitting}
    return Curated(
        few_shot,
        fitting,
        [
            *(dropped(row, "query_demonstration") for row in graded if row.id not in placed_ids),
            *(dropped(row, "beyond_sizes") for row in surplus),
            *(dropped(row, "too_long_for_query") for row in rows if row.id not in fitting_ids),
        ],
    )


def _check_sizes(
    config: RunConfig, graded: Sequence[GradedAnswer], placed: Sequence[QueryExample], fitting: Sequence[QueryExample]
) -> None:
    """Raises `RunError` for a split without examples: none was `placed` there, or none is `fitting` into the context.
    A split that is short is said."""
    groups = Counter(row.group for row in graded)
    largest = max(groups.values(), default=0)
    for side in SIDES:
        wanted, count = getattr(config.curation.sizes, side), sum(row.split == side for row in fitting)
        if not count:
            why, remedy = "unanswered, or too long for the uncertainty query", "ask more questions or drop fewer"
            too_large = largest > wanted or (largest > 1 and len(groups) < len(SIDES))
            if too_large and not any(row.split == side for row in placed):
                why = f"groups of related questions, of up to {largest}, are too large for it"
                remedy = "raise it, or ask more questions about other things"
            raise RunError(
                f"curation.sizes.{side}: {wanted} examples are wanted, but none of the {len(graded)} graded answers is "
                f"left for it ({why}); {remedy}"
            )
        if count < 0.98 * wanted:
            print(f"warning: curation.sizes.{side}: {wanted} are wanted, {count} are there", file=sys.stderr)


def sequence_length(row: GradedAnswer, prompt_format: PromptFormat) -> int:
    """Tokens of question, answer and query, without the block before them."""
    return len(prompt_format.judged_ids(row)) + len(row.token_ids) + len(prompt_format.query_ids)
