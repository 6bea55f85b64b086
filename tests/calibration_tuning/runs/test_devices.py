"""A machine whose GPUs torch cannot use: refused, where torch itself goes on with the CPU in silence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import default_device
from calibration_tuning.runs.devices import DRIVERS, driver_floor, has_accelerator, require_accelerator
from training.strategy import make_accelerator

TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)
NO_DRIVER = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver."
NO_GPU = "No CUDA GPUs are available"
UNKNOWN = "CUDA unknown error - this may be due to an incorrectly set up environment."
VARIABLES = ("CUDA_VISIBLE_DEVICES", "ACCELERATE_USE_CPU", "LOCAL_RANK", "RANK", "WORLD_SIZE")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A torch built for CUDA 13 that has no GPU to compute on."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    return monkeypatch


def says(machine: pytest.MonkeyPatch, message: str) -> None:
    def init() -> None:
        raise RuntimeError(message)

    machine.setattr(torch.cuda, "init", init)


@pytest.mark.parametrize("work", [has_accelerator, default_device, lambda: make_accelerator(bf16=True)])
@pytest.mark.parametrize("message", [TOO_OLD, UNKNOWN])
def test_a_driver_that_does_not_work_is_refused(machine: pytest.MonkeyPatch, message: str, work: object) -> None:
    says(machine, message)
    with pytest.raises(UserError, match=r"needs NVIDIA driver 580\.65\.06 or newer: update the driver") as error:
        work()  # type: ignore[operator]
    assert message.partition(". ")[0].rstrip(".") in str(error.value)
    assert "CUDA_VISIBLE_DEVICES= (empty)" in str(error.value)


@pytest.mark.parametrize("message", [NO_DRIVER, NO_GPU])
def test_a_machine_without_a_gpu_is_one_to_try_things_on(machine: pytest.MonkeyPatch, message: str) -> None:
    says(machine, message)
    assert not has_accelerator()
    assert default_device() == torch.device("cpu")


@pytest.mark.parametrize("variable", [("LOCAL_RANK", "0"), ("ACCELERATE_USE_CPU", "False")])
@pytest.mark.parametrize("message", [NO_DRIVER, NO_GPU, TOO_OLD])
def test_a_launch_file_asks_for_gpus(machine: pytest.MonkeyPatch, message: str, variable: tuple[str, str]) -> None:
    says(machine, message)
    machine.setenv(*variable)
    with pytest.raises(UserError, match="no GPU can be used here"):
        has_accelerator()


@pytest.mark.parametrize(
    "variable", [("CUDA_VISIBLE_DEVICES", ""), ("CUDA_VISIBLE_DEVICES", "-1"), ("ACCELERATE_USE_CPU", "true")]
)
def test_the_cpu_can_be_asked_for(machine: pytest.MonkeyPatch, variable: tuple[str, str]) -> None:
    says(machine, TOO_OLD)
    machine.setenv(*variable)
    machine.setenv("LOCAL_RANK", "0")
    assert not has_accelerator()
    assert require_accelerator() == "cpu"


def test_launch_needs_a_gpu(machine: pytest.MonkeyPatch) -> None:
    says(machine, NO_DRIVER)
    with pytest.raises(UserError, match=r"^--on: needs a GPU, but torch .* sees no GPU on this machine; use"):
        require_accelerator()
    machine.setattr(torch.version, "cuda", None)
    with pytest.raises(UserError, match="is built for the CPU alone"):
        require_accelerator()
    assert all(driver in driver_floor() for driver in DRIVERS.values())


@pytest.mark.slow
@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine has an accelerator")
def test_the_command_starts_no_stage_without_a_gpu() -> None:
    command = [sys.executable, "-m", "calibration_tuning.cli", "launch", "configs/demo.yaml", "--on", "single_gpu"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "99"}  # none; empty would ask for the CPU, as `make test` does
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --on: needs a GPU")
    assert "accelerate" not in ended.stdout
