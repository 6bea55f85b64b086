"""Launch files as accelerate itself reads them."""

from pathlib import Path

import pytest

KINDS = {
    "ddp_8gpu": ("MULTI_GPU", 1, 8),
    "deepspeed_zero2": ("DEEPSPEED", 1, 8),
    "deepspeed_zero3": ("DEEPSPEED", 1, 8),
    "fsdp2": ("FSDP", 1, 8),
    "multi_node": ("MULTI_GPU", 2, 16),
    "single_gpu": ("NO", 1, 1),
}
"""Kind, machines, processes."""
FILES = sorted(Path("launch/accelerate").glob("*.yaml"))


def test_all_are_found() -> None:
    assert [path.stem for path in FILES] == list(KINDS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_accelerate_accepts_it(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert (config.distributed_type, config.num_machines, config.num_processes) == KINDS[path.stem]
    assert config.mixed_precision == "bf16"


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_on_two_machines_is_one_training(stage: int) -> None:
    """torchrun on each machine, as with DDP, and not DeepSpeed's launcher, which would start them by ssh."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env

    where = ["--num_machines", "2", "--num_processes", "16", "--machine_rank", "1", "--main_process_ip", "node7"]
    file, what = f"launch/accelerate/deepspeed_zero{stage}.yaml", ["-m", "training", "configs/llama2_7b.yaml"]
    parsed = launch_command_parser().parse_args(["--config_file", file, *where, "--main_process_port", "29500", *what])
    arguments, defaults, _ = _validate_launch_command(parsed)
    arguments.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
    command, _ = prepare_deepspeed_cmd_env(arguments)
    assert not command
    assert (arguments.nnodes, arguments.nproc_per_node, arguments.node_rank) == ("2", "8", 1)
    assert (arguments.rdzv_backend, arguments.rdzv_endpoint) == ("static", "node7:29500")


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_accepts_it(stage: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that `accelerate launch` makes of the file, through accelerate's plugin into DeepSpeed's parser,
    for a rank of eight."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    launched(Path(f"launch/accelerate/deepspeed_zero{stage}.yaml"), monkeypatch)
    from accelerate.utils import DeepSpeedPlugin
    from deepspeed.runtime.config import DeepSpeedConfig

    plugin = DeepSpeedPlugin()
    plugin.set_mixed_precision("bf16")
    values = plugin.deepspeed_config | {"train_micro_batch_size_per_gpu": 1, "train_batch_size": 8}
    values["gradient_clipping"] = 1.0
    monkeypatch.setattr("deepspeed.runtime.config.dist.get_world_size", lambda *group: 8)
    monkeypatch.setattr("deepspeed.runtime.config.dist.get_rank", lambda *group: 0)
    config = DeepSpeedConfig({name: value for name, value in values.items() if value != "auto"})
    assert config.zero_config.stage == stage
    assert config.gradient_accumulation_steps == 1
    assert config.zero_config.offload_optimizer is None or config.zero_config.offload_optimizer.device == "none"


def test_accelerate_makes_fsdp2_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(Path("launch/accelerate/fsdp2.yaml"), monkeypatch)
    from accelerate.utils import FullyShardedDataParallelPlugin

    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert not plugin.cpu_ram_efficient_loading
    assert "transformer_auto_wrap_policy" in str(plugin.auto_wrap_policy)


def launched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that `accelerate launch --config_file path` gives to its processes."""
    import os

    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    parsed = launch_command_parser().parse_args(
        ["--config_file", str(path), "-m", "training", "configs/llama2_7b.yaml"]
    )
    arguments, defaults, _ = _validate_launch_command(parsed)
    for name in os.environ.keys() & {"FSDP_VERSION", "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"}:
        monkeypatch.delenv(name)
    if arguments.use_deepspeed:
        arguments.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
        _, environment = prepare_deepspeed_cmd_env(arguments)
    else:
        environment = prepare_multi_gpu_env(arguments)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
