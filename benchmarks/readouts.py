"""What parts of the stacked readout are worth, by the number of calibration answers: python -m benchmarks readouts

The model reads all answers of a finished run once (kept in the run's folder). Then readouts are fitted on parts of the
calibration split, several draws of each size, and scored on the test split and on the sets never trained on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.special import expit

from benchmarks.paired import markdown
from calibration_tuning.checkpoint import Checkpoint, load_checkpoint
from calibration_tuning.command_line import quiet_libraries, with_errors
from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.lm.models import adapter_off, default_device
from calibration_tuning.lm.query import score_answers
from calibration_tuning.lm.reading import read_answers
from calibration_tuning.metrics.confidence import point_metrics
from calibration_tuning.readout.blend import Blend, fit_blend
from calibration_tuning.readout.fitting import fit_readout
from calibration_tuning.readout.likelihood import chosen_log_odds
from calibration_tuning.readout.read_answers import ReadAnswers
from calibration_tuning.readout.stacked import QUERY, WITHOUT_QUERY, Read, StackedReadout, signals_of
from calibration_tuning.readout.states import layers_read
from calibration_tuning.records import QueryExample
from calibration_tuning.runs.progress import progress

Array = np.ndarray
SIZES = (50, 100, 280, 1000)
SHOWN = ("brier", "auroc", "auroc_within_subjects", "ece")
BATCH_SIZE = 32
CACHE = "readouts.npz"
Logits = dict[str, Array]


def main(
    config: Annotated[Path, typer.Argument(help="YAML file of a trained run.")] = Path("configs/demo.yaml"),
    overrides: Annotated[list[str] | None, typer.Argument(help="key.path=value ...")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Parts drawn of each size.")] = 5,
) -> None:
    quiet_libraries()
    with_errors(lambda: _main(load_run_config(config, overrides or []), draws), debug=False)


def _main(config: RunConfig, draws: int) -> None:
    curated = CuratedSet.read(config.curation_dir)
    names = ["train", "validation", "calibration", "test", *(["evaluation"] if curated.has("evaluation") else [])]
    splits: dict[str, list[QueryExample]] = {name: list(curated.split(name)) for name in names}  # type: ignore[arg-type]
    answers = read_splits(config, curated, splits)
    train = answers["train"]
    available = len(answers["calibration"].correct)
    judged = [split for split in ("test", "evaluation") if split in answers]
    rows: dict[tuple[str, int, str], list[list[float]]] = defaultdict(list)
    sizes = [size for size in SIZES if size < available] + [available]
    with progress(len(sizes) * draws, "fitting", "readouts") as bar:
        for size in sizes:
            for draw in range(draws if size < available else 1):
                picked = np.random.default_rng(draw).permutation(available)[:size]
                mask = np.isin(np.arange(available), picked)
                logits = readouts(train, answers["calibration"].where(mask), {s: answers[s] for s in judged})
                for name, by_split in logits.items():
                    for split, logit in by_split.items():
                        rows[name, size, split].append(scored(logit, answers[split], splits[split]))
                bar.update(1)
    for split in judged:
        print(f"\n{split}, n = {len(splits[split])}; mean over {draws} draws, one of all {available}\n")
        table = [
            [name, str(size), *(f"{value:.3f}" for value in np.mean(values, axis=0))]
            for (name, size, judged_split), values in rows.items()
            if judged_split == split
        ]
        print(markdown(["readout", "calibration answers", *SHOWN], table))


def readouts(train: ReadAnswers, calibration: ReadAnswers, judged: Mapping[str, ReadAnswers]) -> dict[str, Logits]:
    """Log-odds by readout and split, each as fitted on the calibration answers."""
    stacked = fit_readout(train, calibration, calibration.read.query, (), "platt")
    signals = signals_of(calibration.read, stacked.probe)
    kinds: dict[str, list[str]] = {
        "tuned query": [QUERY],
        "likelihood": ["sequence_likelihood"],
        "likelihoods": list(WITHOUT_QUERY),
        "query + likelihoods": [QUERY, *WITHOUT_QUERY],
    }
    blends = {name: fit_blend(signals, names, calibration.correct, 0.0) for name, names in kinds.items()}
    apply: dict[str, Callable[[Read], Array]] = {
        **{name: partial(_blended, blend, stacked) for name, blend in blends.items()},
        "all, foreign or not": lambda read: stacked.record.with_states(signals_of(read, stacked.probe)),
        "stacked": stacked,
    }
    return {name: {split: read(answers.read) for split, answers in judged.items()} for name, read in apply.items()}


def _blended(blend: Blend, stacked: StackedReadout, read: Read) -> Array:
    return blend(signals_of(read, stacked.probe))


def scored(logit: Array, answers: ReadAnswers, rows: list[QueryExample]) -> list[float]:
    subjects = np.array([row.topic for row in rows])
    metrics = point_metrics(expit(logit), answers.correct, only=SHOWN, subjects=subjects)
    return [np.nan if metrics[name] is None else float(metrics[name]) for name in SHOWN]  # type: ignore[arg-type]


def read_splits(
    config: RunConfig, curated: CuratedSet, splits: Mapping[str, list[QueryExample]]
) -> dict[str, ReadAnswers]:
    """Every split as the checkpoint reads it; from the run's folder where this has been done before."""
    cache = config.run_dir / CACHE
    rows = [row for of_split in splits.values() for row in of_split]
    if cache.is_file():
        saved = np.load(cache, allow_pickle=False)
        ends = np.cumsum(saved["lengths"])[:-1]
        logprobs = [list(part) for part in np.split(saved["logprobs"], ends)]
        read = Read(saved["query"], logprobs, saved["states"])
    else:
        read = read_rows(load_checkpoint(config.checkpoint_dir).to(default_device()), curated, rows)
        lengths = np.array([len(row) for row in read.token_logprobs])
        flat = np.concatenate([np.array(row) for row in read.token_logprobs])
        np.savez(cache, query=read.query, states=read.states, lengths=lengths, logprobs=flat)
    chosen = [chosen_log_odds(row.answer, row.choices, row.choice_logprobs) for row in rows]
    read = replace(read, chosen=np.array(chosen))
    graded = ReadAnswers(
        read,
        np.array([row.correct for row in rows]),
        np.array([row.group for row in rows]),
        np.array([row.source for row in rows]),
    )
    split_of = np.repeat(list(splits), [len(of_split) for of_split in splits.values()])
    return {split: graded.where(split_of == split) for split in splits}


def read_rows(checkpoint: Checkpoint, curated: CuratedSet, rows: list[QueryExample]) -> Read:
    model, prompt = checkpoint.model, checkpoint.prompt_format
    layers = layers_read(model.config.get_text_config().num_hidden_layers)
    logprobs: list[list[float]] = [[] for _ in rows]
    states: list[Array] = [np.zeros(0)] * len(rows)
    behind: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        behind[row.topic].append(i)
    with progress(2 * len(rows), "reading", "answers") as bar:
        with adapter_off(model):
            for members in behind.values():
                block = prompt.few_shot_ids(curated.few_shot.before(rows[members[0]]))
                questions = [prompt.answering_ids(rows[i]) for i in members]
                tokens = [rows[i].token_ids for i in members]
                part = read_answers(model, block, questions, tokens, layers, BATCH_SIZE, MAX_BATCH_TOKENS, bar.update)
                for i, values, state in zip(members, part.token_logprobs, part.states, strict=True):
                    logprobs[i], states[i] = values, state
        sequences = [[*prompt.judged_ids(row), *row.token_ids] for row in rows]
        block = prompt.few_shot_ids(curated.few_shot.query)
        query = score_answers(model, prompt, block, sequences, BATCH_SIZE, bar.update, checkpoint.probe).logit
    return Read(query, logprobs, np.stack(states))


if __name__ == "__main__":
    typer.run(main)
