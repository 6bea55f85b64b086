"""The demonstrations that a loaded checkpoint puts before every question, whatever it is about."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration, FewShotBy, QueryExample, block_of
from data_curation.selection import Selection

SIZE = 4


def shown_block(
    rows: Sequence[QueryExample], selection: Selection, by: FewShotBy, prompt_format: PromptFormat, longest: int
) -> list[Demonstration]:
    """Return the demonstrations that stand before every question of a loaded checkpoint: at most four, each from a
    different block.

    They come from question sets that are trained on. A set that is only evaluated must not appear in the prompt that it
    is judged by. Training and evaluation read every answer of `rows` behind these demonstrations. So the longest ones
    are left out, with a warning, until each question and its answer fit into the `longest` tokens that the model reads.
    """
    trained = {block_of(row, by) for row in rows if row.split != "evaluation"}
    firsts = [block[0] for name, block in selection.demonstrations.items() if block and name in trained]
    # Evenly: the blocks of a set stand next to each other.
    count = min(SIZE, len(firsts))
    shown = [firsts[i * (len(firsts) - 1) // max(1, count - 1)] for i in range(count)]
    needed = max((len(prompt_format.answering_ids(row)) + len(row.token_ids) for row in rows), default=0)
    needed += prompt_format.trace_room
    fitting = list(shown)
    while fitting and len(prompt_format.few_shot_ids(fitting)) + needed > longest:
        fitting.remove(max(fitting, key=lambda demonstration: len(prompt_format.few_shot_ids([demonstration]))))
    if len(fitting) < len(shown):
        print(
            f"warning: a loaded checkpoint shows {len(fitting)} of {len(shown)} demonstrations before a question; with "
            f"more, the longest question would not fit into the {longest} tokens that the model reads",
            file=sys.stderr,
        )
    return fitting
