"""A small head that reads a confidence off a hidden state instead of the vocabulary."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FILE = "probe.safetensors"


class Probe(nn.Module):
    """Hidden states [..., H] to float32 logits [..., 2] of (no, yes).

    The layer norm has no weights: hidden states differ by orders of magnitude between dimensions and models.
    """

    def __init__(self, width: int, hidden_size: int) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(
            nn.LayerNorm(width, elementwise_affine=False),
            nn.Linear(width, hidden_size),
            nn.GELU(),
            nn.Linear(hidden_size, 2),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        weight: Tensor = self.layers[1].weight  # type: ignore[assignment]
        # In the precision of its weights under mixed precision too: in use there is no autocast.
        with torch.autocast(hidden.device.type, enabled=False):
            return self.layers(hidden.to(weight.dtype)).float()


def save_probe(probe: Probe, folder: Path) -> None:
    save_file({name: value.contiguous() for name, value in probe.state_dict().items()}, folder / FILE)


def load_probe(folder: Path) -> Probe:
    state = load_file(folder / FILE)
    hidden_size, width = state["layers.1.weight"].shape
    probe = Probe(width, hidden_size)
    probe.load_state_dict(state)
    return probe.eval()
