"""Two processes give the adapter that one gives, from the same seed and global batch."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow


def start(*command: object, **environment: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[[Path], Path]) -> Path:
    config = write_tiny_config(tmp_path_factory.mktemp("distributed"))
    start("data_curation", config)
    return config


@pytest.fixture(scope="module")
def single(curated: Path) -> dict[str, torch.Tensor]:
    start("training", curated, "training.batch_size=8")
    return adapter(curated)


def adapter(config: Path) -> dict[str, torch.Tensor]:
    return load_file(config.parent / "runs/tiny/checkpoint/adapter_model.safetensors")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert max(value.abs().max() for name, value in expected.items() if "lora_B" in name) > 1e-3
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0, msg=name)


def test_accumulated_micro_batches_equal_one_batch(curated: Path, single: dict[str, torch.Tensor]) -> None:
    start("training", curated, "training.batch_size=4", "training.gradient_accumulation_steps=2", "--force")
    assert_same(adapter(curated), single)


def test_data_parallel(curated: Path, single: dict[str, torch.Tensor]) -> None:
    # accelerate's own launcher starts CPU processes through MPI only; torchrun sets the same variables.
    launch = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", free_port(), "-m"]
    start(*launch, "training", curated, "training.batch_size=4", "--force", ACCELERATE_USE_CPU="true")
    assert_same(adapter(curated), single)
