"""What data parallelism sends and copies in a step, in a group of one process."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.strategy import DATA_PARALLEL, Strategy, make_accelerator


@pytest.fixture
def group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


class Rotary(nn.Module):
    """A layer with a constant, as rotary embeddings have it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("frequencies", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x * self.frequencies)


def test_constants_are_not_sent_and_gradients_lie_in_what_is_summed(
    group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(DistributedDataParallel, "_sync_module_buffers", lambda self, *_: sent.append(1))
    model = DistributedDataParallel(Rotary(), **DATA_PARALLEL.to_kwargs())
    for _ in range(2):
        model(torch.ones(2, 3)).sum().backward()
    assert not sent
    bias = model.module.layer.bias.grad
    assert bias.untyped_storage().nbytes() > bias.numel() * bias.element_size(), "a view of the bucket"


@pytest.mark.parametrize("rank", [0, 1])
def test_what_takes_gigabytes_goes_to_the_first_process_and_to_no_gpu(
    group: None, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    sent: list[tuple[Any, str]] = []

    def gather(value: Any, everyone: list[Any] | None, dst: int, group: Any) -> None:
        sent.append((dst, dist.get_backend(group)))
        if everyone is not None:
            everyone[:] = ["of 0", "of 1"]

    monkeypatch.setattr(dist, "gather_object", gather)
    strategy: Any = SimpleNamespace(processes=2, accelerator=SimpleNamespace(is_main_process=rank == 0))
    assert Strategy.gather_on_first(strategy, f"of {rank}") == (None if rank else ["of 0", "of 1"])
    assert sent == [(0, "gloo")]


def test_accelerate_wraps_models_that_way() -> None:
    handler = make_accelerator(bf16=False).ddp_handler
    assert handler is not None
    assert handler.to_kwargs() == {"broadcast_buffers": False, "gradient_as_bucket_view": True}
