"""After training, the untuned model reads the answers again, and the stacked readout is fitted on what it knew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from accelerate.utils import broadcast_object_list

from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.config.run import RunConfig
from calibration_tuning.lm.reading import Reading, read_answers
from calibration_tuning.readout.fitting import cross_fitted, fit_readout
from calibration_tuning.readout.likelihood import chosen_log_odds
from calibration_tuning.readout.read_answers import ReadAnswers, together
from calibration_tuning.readout.stacked import Read, StackedReadout
from calibration_tuning.readout.states import layers_read
from calibration_tuning.records import Demonstration, QueryExample
from calibration_tuning.runs.processes import process_count, process_index
from calibration_tuning.runs.progress import progress
from calibration_tuning.runs.threads import cores_of_waiting_processes
from training.loop import Run
from training.setup import Inputs
from training.untuned import untuned_model

BATCH_SIZE = 32
Block = tuple[Demonstration, ...]


def fit_stacked(
    config: RunConfig,
    run: Run,
    inputs: Inputs,
    block: Sequence[Demonstration],
    query: np.ndarray,
    untuned_query: np.ndarray,
) -> tuple[StackedReadout, np.ndarray]:
    """Return the fitted readout, and its cross-fitted log-odds [2, n] of the calibration split.

    Every process calls it; the first one fits. Each answer is read twice: behind the block that it was written behind,
    and behind `block`, which stands before every question when the checkpoint is used. Likelihoods and states differ
    between blocks, and the readout has to hold for both. The first row of the log-odds belongs to the first reading,
    the second row to `block`. `query` and `untuned_query` [n] are the log-odds of the calibration split, tuned and
    untuned.
    """
    train = [*inputs.splits["train"], *inputs.splits["validation"]]
    calibration = inputs.splits["calibration"]
    rows = [*train, *calibration]
    blocks = [tuple(inputs.few_shot.before(row)) for row in rows]
    reading, layers = read(config, run, inputs, [*rows, *rows], [*blocks, *[tuple(block)] * len(rows)])
    fitted: tuple[StackedReadout, np.ndarray] | None = None
    if reading is not None:  # on the first process
        with cores_of_waiting_processes():
            fitted = _fitted(config, train, calibration, reading, layers, query, untuned_query)
    return broadcast_object_list([fitted])[0]


def _fitted(
    config: RunConfig,
    train: Sequence[QueryExample],
    calibration: Sequence[QueryExample],
    reading: Reading,
    layers: tuple[int, ...],
    query: np.ndarray,
    untuned_query: np.ndarray,
) -> tuple[StackedReadout, np.ndarray]:
    """Return the readout, and cross-fitted log-odds of the calibration split. `reading` contains each answer twice."""
    n, rows = len(train), len(train) + len(calibration)
    unasked = np.full(n, np.nan)
    readings = [
        (_answers(train, unasked, reading, start), _answers(calibration, query, reading, start + n))
        for start in (0, rows)
    ]
    trained_on, held_out = (together(*pair) for pair in zip(*readings, strict=True))
    readout = fit_readout(trained_on, held_out, np.tile(untuned_query, 2), layers, config.training.calibrator)
    return readout, cross_fitted(readout, held_out).reshape(2, len(calibration))


def read(
    config: RunConfig, run: Run, inputs: Inputs, rows: Sequence[QueryExample], blocks: Sequence[Block]
) -> tuple[Reading | None, tuple[int, ...]]:
    """Return what the untuned model computes for each answer behind its block, and the layers that were read.

    The processes share the work. The states of all answers take gigabytes, so only the first process gets them; the
    other processes get None.
    """
    prompt_format = inputs.prompt_format
    layers = layers_read(run.lm.config.get_text_config().num_hidden_layers)
    share = list(range(len(rows)))[process_index() :: process_count()]
    behind: dict[Block, list[int]] = defaultdict(list)
    for i in share:
        behind[blocks[i]].append(i)
    parts: list[tuple[list[int], Reading]] = []
    with untuned_model(config, run) as model, progress(len(share), "reading", "answers") as bar:
        for block, members in behind.items():
            block_ids = prompt_format.few_shot_ids(block)
            questions = [prompt_format.answering_ids(rows[i]) for i in members]
            answers = [rows[i].token_ids for i in members]
            reading = read_answers(
                model, block_ids, questions, answers, layers, BATCH_SIZE, MAX_BATCH_TOKENS, bar.update
            )
            parts.append((members, reading))
    process_parts = run.strategy.gather_on_first(parts)
    if process_parts is None:
        return None, layers
    by_row: dict[int, tuple[list[float], np.ndarray]] = {}
    for process_part in process_parts:
        for members, reading in process_part:
            by_row |= {i: (reading.token_logprobs[k], reading.states[k]) for k, i in enumerate(members)}
    ordered = [by_row[i] for i in range(len(rows))]
    return Reading([logprobs for logprobs, _ in ordered], np.stack([states for _, states in ordered])), layers


def _answers(rows: Sequence[QueryExample], query: np.ndarray, reading: Reading, start: int) -> ReadAnswers:
    part = slice(start, start + len(rows))
    return ReadAnswers(
        Read(
            query,
            reading.token_logprobs[part],
            reading.states[part],
            np.array([chosen_log_odds(row.answer, row.choices, row.choice_logprobs) for row in rows]),
        ),
        np.array([row.correct for row in rows]),
        np.array([row.group for row in rows]),
        np.array([row.source for row in rows]),
    )
