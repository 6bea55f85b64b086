"""What data parallelism sends and copies in a step, in a group of one process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.strategy import DATA_PARALLEL, make_accelerator


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


def test_accelerate_wraps_models_that_way() -> None:
    handler = make_accelerator(bf16=False).ddp_handler
    assert handler is not None
    assert handler.to_kwargs() == {"broadcast_buffers": False, "gradient_as_bucket_view": True}
