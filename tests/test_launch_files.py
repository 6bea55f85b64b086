"""Launch files as accelerate itself reads them."""

from pathlib import Path

import pytest

FILES = sorted(Path("launch").rglob("*.yaml"))


def test_all_are_found() -> None:
    assert [path.stem for path in FILES] == ["ddp_8gpu", "deepspeed_zero2"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_accelerate_accepts_it(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_processes == 8
    assert config.distributed_type == {"ddp_8gpu": "MULTI_GPU", "deepspeed_zero2": "DEEPSPEED"}[path.stem]
