"""The shipped launch files with two processes on the CPU: the adapter that one process makes, whichever engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from tests.training.conftest import Command

pytestmark = pytest.mark.slow

SMALL_PASSES = "training.tokens_per_batch=256"


STACKED = "training.readout=stacked"  # it is what the shipped runs train, and reads the whole model after training


@pytest.fixture(scope="module")
def single(training: Command) -> dict[str, torch.Tensor]:
    training.finish("single", STACKED, anew=True)
    return training.adapter("single")


def readout(training: Command, name: str) -> dict[str, torch.Tensor]:
    return load_file(training.run_dir(name) / "checkpoint/readout.safetensors")


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert max(value.abs().max() for name, value in expected.items() if "lora_B" in name) > 1e-3
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize("batching", ["padded", "packed"])
@pytest.mark.parametrize(
    "option", ["gradient_checkpointing=false", "gradient_checkpointing=true", "torch_compile=true"]
)
def test_how_a_step_is_computed_changes_nothing(
    training: Command, single: dict[str, torch.Tensor], batching: str, option: str
) -> None:
    name = f"{batching}-{option.replace('=', '-')}"
    training.finish(name, SMALL_PASSES, f"training.batching={batching}", f"training.{option}")
    assert_same(training.adapter(name), single)


# With small passes a step takes several, whose gradients add up; ten or more examples a pass take none.
@pytest.mark.parametrize("engine", ["ddp_8gpu", "deepspeed_zero2", "deepspeed_zero3", "fsdp2"])
def test_two_processes_make_the_adapter_of_one(training: Command, single: dict[str, torch.Tensor], engine: str) -> None:
    output = training.finish(engine, SMALL_PASSES, STACKED, engine=engine, anew=True)
    assert "2 (" in output, "two processes took part"
    assert_same(training.adapter(engine), single)
    torch.testing.assert_close(readout(training, engine), readout(training, "single"), atol=1e-4, rtol=1e-4)
    assert output.count("checkpoint:") == 1, "only the first process speaks"


def test_without_training_a_strategy_that_splits_the_model_has_the_whole(training: Command) -> None:
    settings = ("training.method=none", STACKED)
    training.finish("none", *settings)
    training.finish("none-zero3", *settings, engine="deepspeed_zero3")
    torch.testing.assert_close(readout(training, "none-zero3"), readout(training, "none"), atol=1e-4, rtol=1e-4)


def test_fsdp_with_packed_passes_and_a_probe_that_was_best_before_the_last_step(training: Command) -> None:
    """Its calibrator is that of the best step, whose weights are put back after the last validation."""
    settings = (
        "training.method=lora_probe",
        "training.evaluations=6",
        "training.epochs=2",
        "training.learning_rate=0.05",
    )
    training.finish("probe", *settings)
    training.finish("probe-fsdp2", *settings, "training.batching=packed", engine="fsdp2")
    assert_same(training.adapter("probe-fsdp2"), training.adapter("probe"))
    ours, theirs = (
        json.loads((training.run_dir(name) / "checkpoint/calibration.json").read_text())
        for name in ("probe-fsdp2", "probe")
    )
    assert ours["selected"]["step"] == theirs["selected"]["step"] < 6
    assert ours["calibrated_on"] == pytest.approx(theirs["calibrated_on"], abs=1e-4)


def test_more_processes_than_examples_in_a_step(training: Command) -> None:
    training.finish("one", "training.batch_size=1", "training.epochs=0.2")
    training.finish("one-by-two", "training.batch_size=1", "training.epochs=0.2", engine="ddp_8gpu")
    assert_same(training.adapter("one-by-two"), training.adapter("one"))


def test_a_rank_leaves_before_what_aborts_in_the_teardown(training: Command, tmp_path: Path) -> None:
    aborts = "import os, sys\nclass Aborts:\n    def __del__(self, abort=os.abort):\n        abort()\n"
    (tmp_path / "sitecustomize.py").write_text(f"{aborts}if 'RANK' in os.environ:\n    sys.kept = Aborts()\n")
    training.finish("leaves", "training.epochs=0.2", engine="ddp_8gpu", anew=True, PYTHONPATH=f"{tmp_path}:.")
