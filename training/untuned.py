"""The model as it came, during and after its training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.lm.models import adapter_off, causal_model, default_device, load_model
from training.loop import Run
from training.query_model import QueryModel
from training.strategy import loads_onto


@contextmanager
def untuned(model: QueryModel) -> Iterator[None]:
    """Within this context the adapter is off, and the two answers' tokens are read where a probe was trained."""
    probe, model.probe = model.probe, None
    try:
        with adapter_off(model.lm):
            yield
    finally:
        model.probe = probe


@contextmanager
def untuned_model(config: RunConfig, run: Run) -> Iterator[Any]:
    """Yield the complete untuned model in evaluation mode.

    Usually it is the model under training with its adapter off, because a second copy might not fit on the GPU. It is
    loaded again if training shards it, compiles it, or changes it for 4-bit weights.
    """
    if loads_anew(config, loads_onto(run.strategy.accelerator, config.training.trains) is None):
        yield load_model(config.model, default_device())
        return
    model = run.strategy.accelerator.unwrap_model(run.strategy.model)
    was_training = model.training
    model.eval()
    try:
        with untuned(model):
            yield causal_model(model.lm)
    finally:
        model.train(was_training)


def loads_anew(config: RunConfig, is_split: bool) -> bool:
    return is_split or config.model.load_in_4bit or config.training.torch_compile
