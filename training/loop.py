"""The training loop runs the steps, logs them, validates the model and writes checkpoints."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.training import TrainingSettings
from calibration_tuning.errors import RunError
from calibration_tuning.lm.answer_mass import mass_warning
from calibration_tuning.metrics.confidence import point_metrics
from calibration_tuning.records import QueryExample
from calibration_tuning.runs.processes import is_first_process
from calibration_tuning.runs.progress import progress
from training.checkpoints import State
from training.examples import Example
from training.layout import Batch, Layout, to_device
from training.objective import CHUNK
from training.reference import KeptReference
from training.step_order import StepOrder
from training.stopping import Stopped
from training.strategy import Strategy
from training.validation import score_queries
from training.watch import Watch

LOGGED = 200
"""Approximate number of points in the curves of a run."""


@dataclass
class Window:
    """A `Window` collects what this process will log: sums over steps, and the z and target of every example."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    norm: float = 0.0
    parts: dict[str, Tensor] = field(default_factory=dict)
    z: list[Tensor] = field(default_factory=list)
    correct: list[float] = field(default_factory=list)


@dataclass
class Run:
    """A `Run` is a training in progress: its model, data and state, and where it is saved and logged."""

    settings: TrainingSettings
    model: ModelSettings
    seed: int
    strategy: Strategy
    layout: Layout
    step_order: StepOrder
    schedule: Callable[[int], float]
    """Maps a step to the factor on the learning rates."""
    train: list[Example]
    validation: list[Example]
    validation_rows: Sequence[QueryExample]
    state: State
    save: Callable[[State, bool], None]
    """Writes a checkpoint of the state. The second argument says whether it is the best checkpoint so far."""
    watch: Watch
    reference: KeptReference | None = None
    """The reference's states of the training examples; None if they are read in every pass."""
    window: Window = field(default_factory=Window)
    asked_to_stop: Event = field(default_factory=Event)

    @property
    def lm(self) -> Any:
        """The language model under training, with its adapter."""
        return self.strategy.accelerator.unwrap_model(self.strategy.model).lm


class _Share(NamedTuple):
    """What a process contributes to the log."""

    parts: dict[str, float]
    """The process's share of the loss and of its parts, each a mean over the steps."""
    log_odds: list[float]
    correct: list[float]
    tokens: int


def run_steps(run: Run) -> None:
    """Train from the state's step to the last step. Every process calls it.

    Raises `Stopped` if a process is asked to stop, and `RunError` if the loss or the gradient is not finite.
    """
    settings, last = run.settings, run.step_order.steps
    evaluate_at, save_at = evenly(last, settings.evaluations), evenly(last, settings.checkpoints)
    log_every = max(1, last // LOGGED)
    if not run.state.history:
        validate(run)
    if last == 0:
        return
    with progress(last, "training", "steps") as bar:
        bar.update(run.state.step)
        bar.unpause()
        for step in range(run.state.step, last):
            one_step(run, step)
            run.state = run.state.model_copy(update={"step": step + 1})
            bar.update(1)
            # Before every validation and planned checkpoint too, because logging raises if the loss is not finite.
            if (step + 1) % log_every == 0 or step + 1 in save_at | evaluate_at:
                logged = log_window(run)
                bar.set_postfix(loss=f"{logged['loss']:.4f}", tokens_per_s=f"{logged['tokens_per_second']:,.0f}")
            is_best = validate(run) if step + 1 in evaluate_at else False
            # If any process is asked to stop, all processes stop at the same step.
            stops = run.strategy.any_process(run.asked_to_stop.is_set())
            if is_best or stops or step + 1 in save_at | evaluate_at:
                run.save(run.state, is_best)
            if stops and step + 1 < last:
                raise Stopped(f"training: stopped after step {step + 1} of {last}; run the same command to resume")


def one_step(run: Run, step: int) -> None:
    """Compute gradients over the step's examples, in as many passes as the token budget requires, and update once.

    Raises `RunError` if the gradient is not finite, because the weights are then NaN and must not be saved.
    """
    begun = time.perf_counter()
    strategy, layout = run.strategy, run.layout
    rank = strategy.accelerator.process_index
    # Dropout depends only on seed, step and process, so a resumed run draws what an uninterrupted run draws.
    torch.manual_seed(int(np.random.SeedSequence([run.seed, step, rank]).generate_state(1)[0]))
    strategy.set_learning_rate(run.schedule(step))
    indices = run.step_order.step(step)
    examples = [run.train[i] for i in indices]
    rounds = layout.rounds(examples, run.settings.tokens_per_batch, strategy.processes)
    for number, shares in enumerate(rounds):
        is_last = number == len(rounds) - 1
        mine = shares[rank] or shares[0][:1]  # a process without examples still runs the pass
        chunks = max(math.ceil(sum(examples[i].answer_length for i in share) / CHUNK) for share in shares)
        weight = 1 / len(examples) if shares[rank] else 0.0
        batch = layout.batch([examples[i] for i in mine], weight, chunks)
        if run.reference is not None:
            batch["reference"] = run.reference.of([indices[i] for i in mine])
        with strategy.pass_context(is_last):
            total, parts, z = strategy.model(to_device(batch, strategy.accelerator.device))
            strategy.backward(total, is_last)
        if shares[rank]:
            _note(run.window, total, parts, z, batch)
    norm = strategy.step()
    check_finite("gradient's norm", norm, step + 1)
    run.window.norm += norm
    run.window.steps += 1
    run.window.seconds += time.perf_counter() - begun


def validate(run: Run) -> bool:
    """Score the validation split. Returns true if the score is the best so far. Every process calls it."""
    logits, mass = score_queries(run.strategy, run.layout, run.validation, run.settings.tokens_per_batch)
    if not run.state.history:
        check_answer_mass(run, mass)
    correct = np.array([example.correct for example in run.validation])
    scores = point_metrics(expit(logits), correct, only=("brier", "nll", "ece", "auroc"))
    known_scores: dict[str, float] = {name: value for name, value in scores.items() if value is not None}
    score, step = known_scores[run.settings.select_by], run.state.step
    # The untrained model cannot be the best, because it is the baseline. Without steps, it is the only model.
    is_best = (step > 0 or run.step_order.steps == 0) and (run.state.best_score is None or score < run.state.best_score)
    changes: dict[str, Any] = {"history": [*run.state.history, {"step": step, **known_scores}]}
    if not run.state.before:
        changes["before"] = expit(logits).tolist()
    if is_best:
        changes |= {"best_step": step, "best_score": score, "best": expit(logits).tolist()}
    run.state = run.state.model_copy(update=changes)
    run.watch.validation(step, known_scores, run.validation_rows, run.state.before, expit(logits))
    return is_best


def check_answer_mass(run: Run, mass: np.ndarray) -> None:
    """Say where the untrained model hardly answers the query with one of its two answers.

    Raises `UserError` where it does so less than `model.minimal_answer_mass`. A probe does not read these tokens.
    """
    if np.isnan(mass).any():
        return
    warning = mass_warning(mass, run.model)
    if warning is not None and is_first_process():
        print(f"warning: {warning}", file=sys.stderr)


def log_window(run: Run) -> dict[str, float]:
    """Log and return means over the steps since the last logging, for all processes together. Every process calls it.

    Raises `RunError` if the loss is not finite.
    """
    window, run.window = run.window, Window()
    parts = {name: float(value) / window.steps for name, value in window.parts.items()}
    log_odds = torch.cat([z[:, 1] - z[:, 0] for z in window.z]).tolist() if window.z else []
    process_shares: list[_Share] = run.strategy.gather(_Share(parts, log_odds, window.correct, window.tokens))
    names = dict.fromkeys(name for share in process_shares for name in share.parts)
    logged = {name: sum(share.parts.get(name, 0.0) for share in process_shares) for name in names}
    check_finite("loss", logged["loss"], run.state.step)
    logits = np.array([value for share in process_shares for value in share.log_odds])
    correct = np.array([value for share in process_shares for value in share.correct])
    scores = point_metrics(expit(logits), correct, only=("auroc", "ece"))
    logged |= {f"batch_{name}": value for name, value in scores.items() if value is not None}
    logged["grad_norm"] = window.norm / window.steps
    logged["learning_rate"] = run.strategy.raw_optimizer.param_groups[0]["lr"]
    logged["tokens_per_second"] = sum(share.tokens for share in process_shares) / window.seconds
    run.watch.steps(run.state.step, logged)
    return logged


def check_finite(name: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise RunError(
            f"training: the {name} is {value} at step {step}; the last checkpoint is kept; try a lower "
            "training.learning_rate, with name=NEW or --force"
        )


def evenly(steps: int, count: int) -> set[int]:
    """Return at most `count` evenly spaced steps, counted from 1. The last step is always among them."""
    return {max(1, round(steps * (k + 1) / count)) for k in range(count)}


def _note(window: Window, total: Tensor, parts: dict[str, Tensor], z: Tensor, batch: Batch) -> None:
    for name, value in {"loss": total.detach(), **parts}.items():
        window.parts[name] = window.parts[name] + value if name in window.parts else value
    window.z.append(z)
    window.correct += batch["correct"].tolist()
    mask = batch.get("attention_mask", batch["owner"] > -2 if "owner" in batch else None)
    read = batch["input_ids"].numel() if mask is None else int(mask.sum())
    window.tokens += read + len(batch["prefix_ids"])
