"""Killed anywhere, the same command goes on; and the known ways in which resuming an adapter goes wrong elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Command

pytestmark = pytest.mark.slow

# Twelve steps with dropout, so that random numbers matter, each one a checkpoint.
LONG = ("training.epochs=4", "training.lora.lora_dropout=0.2", "training.checkpoints=12", "training.evaluations=3")
# Between different numbers of processes dropout cannot agree.
PLAIN = (*LONG, "training.lora.lora_dropout=0.0")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0, msg=name)


def assert_what_is_trained(folder: Path) -> None:
    """A checkpoint holds what is trained, and not the base model."""
    trained = load_file(folder / "trained.safetensors")
    assert all(".lora_" in parameter for parameter in trained)
    assert sum(value.numel() for value in trained.values()) == 2048, "as the table at the start says"
    kinds = {path.suffix for path in folder.iterdir() if path.name != "SHA256SUMS"}
    assert kinds == {".safetensors", ".json"}, "nothing pickled"
    assert any(value.abs().max() > 0 for parameter, value in trained.items() if "lora_B" in parameter)


@pytest.fixture(scope="module")
def undisturbed(training: Command) -> Path:
    training.finish("undisturbed", *LONG)
    return training.run_dir("undisturbed") / "checkpoint"


def test_killed_twice_one_process_ends_bit_for_bit_the_same(training: Command, undisturbed: Path) -> None:
    for checkpoints in (1, 2):
        training.kill_after(checkpoints, "killed", *LONG)
    output = training.finish("killed", *LONG)
    assert "resuming from the checkpoint of step" in output
    found = files(training.run_dir("killed") / "checkpoint")
    expected = files(undisturbed)
    assert found.keys() == expected.keys()
    for name in expected.keys() - {"README.md"}:  # which names the run
        assert found[name] == expected[name], name
    assert not (training.run_dir("killed") / ".training").exists()


def test_optimizer_and_history_are_the_same_too(training: Command) -> None:
    """The checkpoint of step 8 by a run that went there at once, and by one that was killed on the way."""
    settings = (*LONG, "training.keep_checkpoints=12")
    training.kill_after(9, "kept", *settings)
    training.kill_after(4, "kept-twice", *settings)
    training.kill_after(5, "kept-twice", *settings)
    folders = [training.run_dir(name) / ".training/step-00000008" for name in ("kept", "kept-twice")]
    assert files(folders[0])["trained.safetensors"] == files(folders[1])["trained.safetensors"]
    assert files(folders[0])["optimizer.safetensors"] == files(folders[1])["optimizer.safetensors"]
    states = [json.loads((folder / "state.json").read_text()) for folder in folders]
    assert states[0] | {"wandb_id": ""} == states[1] | {"wandb_id": ""}
    assert [scores["step"] for scores in states[0]["history"]] == [0, 4, 8]


@pytest.fixture(scope="module")
def plain(training: Command) -> dict[str, torch.Tensor]:
    training.finish("plain", *PLAIN)
    return training.adapter("plain")


@pytest.mark.parametrize("engine", ["ddp_8gpu", "deepspeed_zero2", "deepspeed_zero3", "fsdp2"])
def test_two_processes_go_on_where_they_were_killed(
    training: Command, plain: dict[str, torch.Tensor], engine: str
) -> None:
    name = f"killed-{engine}"
    training.kill_after(2, name, *PLAIN, engine=engine)  # in the first step, the learning rate rises from zero
    assert_what_is_trained(max((training.run_dir(name) / ".training").glob("step-*")))
    assert "resuming from" in training.finish(name, *PLAIN, engine=engine)
    assert_close(training.adapter(name), plain)


def test_one_process_goes_on_where_two_were_killed(training: Command, plain: dict[str, torch.Tensor]) -> None:
    training.kill_after(2, "two-one", *PLAIN, engine="deepspeed_zero2")
    assert "(written by 2 processes; now 1)" in training.finish("two-one", *PLAIN)
    assert_close(training.adapter("two-one"), plain)


def test_sharded_processes_go_on_where_one_was_killed(training: Command, plain: dict[str, torch.Tensor]) -> None:
    training.kill_after(2, "one-two", *PLAIN)
    assert "(written by 1 processes; now 2)" in training.finish("one-two", *PLAIN, engine="fsdp2")
    assert_close(training.adapter("one-two"), plain)


def test_shares_of_unequal_length(training: Command) -> None:
    """Three processes divide few of the tensors evenly, least of all a probe's two biases."""
    settings = (*PLAIN, "training.method=lora_probe")
    training.finish("even", *settings)
    training.kill_after(2, "uneven", *settings, engine="deepspeed_zero3", processes=3)
    training.finish("uneven", *settings, engine="deepspeed_zero3", processes=3)
    assert_close(training.adapter("uneven"), training.adapter("even"))
    heads = [load_file(training.run_dir(name) / "checkpoint/probe.safetensors") for name in ("uneven", "even")]
    assert_close(*heads)


def test_forced_work_that_was_killed_is_gone_on_with(training: Command, undisturbed: Path) -> None:
    """Neither a second --force nor its absence throws away what the first has done."""
    import shutil

    shutil.copytree(undisturbed.parent, training.run_dir("forced"))
    for flags in (("--force",), ("--force",), ()):
        training.kill_after(2, "forced", *LONG, *flags, finished=True)
    assert "resuming from" in training.finish("forced", *LONG)
    assert (
        files(training.run_dir("forced") / "checkpoint")["adapter_model.safetensors"]
        == (undisturbed / "adapter_model.safetensors").read_bytes()
    )


def test_the_finished_adapter_is_applied_once(training: Command, undisturbed: Path) -> None:
    """Keys as peft writes them: nested prefixes would load as a fresh adapter, silently."""
    keys = load_file(undisturbed / "adapter_model.safetensors").keys()
    assert all(key.startswith("base_model.model.model.layers.") and key.count("base_model.model") == 1 for key in keys)
    assert all(key.endswith((".lora_A.weight", ".lora_B.weight")) for key in keys)


def test_a_full_disk_says_so_and_leaves_the_last_whole_checkpoint(training: Command) -> None:
    """A limit on the size of files stands in for the disk: too little for the optimizer's moments (16 KiB)."""
    training.kill_after(2, "full", *LONG)
    work = training.run_dir("full") / ".training"
    before = {folder.name for folder in work.glob("step-*")}
    limited = [
        "import resource, runpy, sys",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))",
        f"sys.argv = ['training', *{training.arguments('full', *LONG)!r}]",
        "runpy.run_module('training', run_name='__main__')",
    ]
    import os
    import subprocess
    import sys

    result = subprocess.run(
        [sys.executable, "-c", "\n".join(limited)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 1, result.stderr
    assert "cannot be written (File too large)" in result.stderr
    assert "is intact; free disk space" in result.stderr
    assert {folder.name for folder in work.glob("step-*")} == before
    assert not list(work.glob(".step-*")), "nothing half-written is left"
    training.finish("full", *LONG)
