"""After the first answers, curation looks at what would be wrong with all of them: a model that does not answer the
uncertainty query where it will be read, or that reasons where it should answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import chain

from calibration_tuning.config.run import RunConfig
from calibration_tuning.grading.traces import trace_of
from calibration_tuning.lm.answer_mass import EXAMPLES, mass_warning
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.models import context_length, load_model_config
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.records import Demonstration
from calibration_tuning.runs.processes import is_first_process
from data_curation.engines import Engine, Finished

REASON = 0.5
"""A warning is printed if more than this share of the first answers contains reasoning."""


def look(
    config: RunConfig,
    demonstrations: Mapping[str, Sequence[Demonstration]],
    engine: Engine,
    finished: Sequence[Finished],
) -> None:
    """Check the first answers for reasoning and for the query. Raises `UserError` as `look_at_the_query` does."""
    look_for_reasoning(config, [answer.text for _, answer in finished if isinstance(answer, Answer)])
    look_at_the_query(config, demonstrations, engine, finished)


def look_for_reasoning(config: RunConfig, answers: Sequence[str]) -> None:
    """Warn if thinking is off but most answers contain a trace of reasoning."""
    reason = sum(trace_of(answer) is not None for answer in answers)
    if config.model.thinking == "off" and reason > REASON * len(answers) and is_first_process():
        print(
            f"warning: model.thinking: off, but {reason} of the first {len(answers)} answers hold a trace of reasoning "
            "instead of an answer; set model.thinking: on",
            file=sys.stderr,
        )


def look_at_the_query(
    config: RunConfig,
    demonstrations: Mapping[str, Sequence[Demonstration]],
    engine: Engine,
    finished: Sequence[Finished],
) -> None:
    """Ask the query about some of the answers in `finished`, and warn if something is wrong.

    Raises `UserError` where the model hardly answers it with one of its two answers (`model.minimal_answer_mass`).
    """
    if not config.model.minimal_answer_mass:
        return
    prompt_format = load_prompt_format(config.model)
    block = prompt_format.few_shot_ids(made_up_block(demonstrations, config.curation.query_few_shot))
    room = context_length(load_model_config(config.model), prompt_format.tokenizer) - len(block)
    sequences = [
        [*prompt_format.judged_ids(request.question), *answer.token_ids]
        for request, answer in finished
        if isinstance(answer, Answer) and answer.token_ids
    ]
    # vLLM reads the verdict as part of the prompt, and wants room for one token after it.
    fitting = [ids for ids in sequences if len(ids) + len(prompt_format.query_ids) + 1 < room][:EXAMPLES]
    if not fitting:
        return
    mass = engine.answer_mass(block, fitting)
    if mass is not None:
        warning = mass_warning(mass, config.model)
    else:
        warning = (
            f"curation.engine.kind: {config.curation.engine.kind} does not tell how probable the query's two answers "
            "are; preflight and training look at it"
        )
    if warning is not None and is_first_process():
        print(f"warning: {warning}", file=sys.stderr)


def made_up_block(demonstrations: Mapping[str, Sequence[Demonstration]], size: int) -> list[Demonstration]:
    """Demonstrations of the query like those that curation takes from the graded answers, before any is graded.

    Right and wrong in turn; a wrong one has the answer of the demonstration before it.
    """
    shown = list(chain.from_iterable(demonstrations.values()))[:size]
    return [
        Demonstration(question=this.question, answer=(previous if i % 2 else this).answer, correct=i % 2 == 0)
        for i, (previous, this) in enumerate(zip([*shown[-1:], *shown], shown, strict=False))
    ]
