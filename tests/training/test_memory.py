"""The memory model against what small models take on the CPU."""

from __future__ import annotations

import sys

import pytest
from transformers import LlamaConfig

from benchmarks.training_memory import SHAPES, measure
from training.memory import Adapted, estimate_memory

CONFIG = LlamaConfig(
    vocab_size=1000,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, float]]:
    return measure(SHAPES)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", SHAPES)
def test_a_step_takes_what_is_said(measured: dict[str, dict[str, float]], name: str) -> None:
    found = measured[name]
    assert 0.7 < found["estimated"] / found["measured"] < 1.35, found


def test_parts_by_hand() -> None:
    found = estimate_memory(
        CONFIG, 1000, 10, 4, 3, False, Adapted(2 * 64 * 2, True), base_shards=2, trained_shards=4, gradient_shards=2
    )
    assert (found.weights, found.trained, found.gradients, found.optimizer) == (500, 20, 20, 20)
    # A layer: 4.5 x 64 + 2 x 32 (keys and values) + 3 x 128 + 1.9 x (two adapted modules of width 64).
    layer = 4.5 * 64 + 2 * 32 + 3 * 128 + 1.9 * 128
    assert found.activations == pytest.approx(3 * 2 * layer * 4)
    assert found.logits == 4 * 256 * 1000 * 4
    assert found.total == pytest.approx(560 + found.activations + found.logits)
    checkpointed = estimate_memory(CONFIG, 0, 10, 4, 3, True, Adapted(2 * 64 * 2, True))
    assert checkpointed.activations == pytest.approx(3 * (2 * 64 + layer) * 4)
    assert estimate_memory(CONFIG, 0, 10, 4, 3, False, Adapted()).activations == 0.0, "a probe keeps nothing"
