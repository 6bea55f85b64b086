"""What a step asks of a GPU, counted on fake tensors."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from transformers import LlamaConfig

from benchmarks.gpu_paper import SHORTEST, WAYS, Counts, Step, count_layers, count_step, made_examples, step_seconds
from training.layout import Layout
from training.preflight.machines import GPUS, LAUNCHES, PRODUCTS, SECONDS_TO_LAUNCH, seconds
from training.preflight.shapes import stated_shape

pytestmark = pytest.mark.slow

SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4}


@pytest.fixture(scope="module")
def steps() -> dict[str, Step]:
    shape = LlamaConfig(**SMALL, vocab_size=1000, num_hidden_layers=8)
    names = ("padded", "padded, reference kept", "packed", "packed, reference kept")
    return {name: count_step(shape, WAYS[name], "cpu", ["h100-80gb"]) for name in names}


def test_packed_rows_and_kept_states_ask_for_less(steps: dict[str, Step]) -> None:
    kernels = {name: step.kernels for name, step in steps.items()}
    assert kernels["packed, reference kept"] < kernels["packed"] < kernels["padded"]
    assert kernels["padded, reference kept"] < kernels["padded"]
    for layout in (
        "packed",
        "padded",
    ):  # of a model this narrow, packed rows cost more attention than they save elsewhere
        assert steps[f"{layout}, reference kept"].flops < steps[layout].flops
    assert {step.waits for step in steps.values()} == {0}


def test_preflight_assumes_what_is_counted() -> None:
    shape, way = stated_shape("meta-llama/Llama-2-7b-hf"), WAYS["packed, reference kept"]
    layout = Layout(block=list(range(100, 300)), query_length=24, **way.layout)
    batch = layout.batch(made_examples(4), 1 / 4, 1)

    def layer(reference_only: bool) -> list[tuple[float, float]]:
        two, three = (count_layers(shape, n, [batch], way, "cpu", reference_only).sizes for n in (2, 3))
        return list((Counter(three) - Counter(two)).elements())

    training, reference = layer(False), layer(True)
    assert {"training": len(training), "reference": len(reference)} == pytest.approx(LAUNCHES, rel=0.25)
    for name in ("a100-80gb", "h100-80gb"):
        counted = step_seconds(GPUS[name], training)[0]
        planned = seconds(GPUS[name], sum(flops for flops, _ in training), shape.hidden_size, PRODUCTS[0])
        assert planned == pytest.approx(counted, rel=0.15)


def test_counts_by_hand() -> None:
    counts = Counts()
    with counts:
        product = torch.ones(4, 8) @ torch.ones(8, 2)  # two fills and a product of 2 x 4 x 8 x 2 FLOPs
        product.view(-1)[0].item()  # two views, and a wait
    assert (counts.flops, counts.waits.total()) == (128, 1)
    assert [flops for flops, _ in counts.sizes if flops] == [128]
    assert counts.kernels == 4, "two fills, a product, and the copy of the value that is read"


def test_a_kernel_takes_what_its_slower_side_takes() -> None:
    gpu = GPUS["a100-80gb"]
    products, memory, tiny = (1e12, 1e6), (0.0, 1e9), (0.0, 4.0)
    computing, launching = step_seconds(gpu, [products, memory, tiny])
    assert launching == pytest.approx(3 * SECONDS_TO_LAUNCH[0])
    expected = 1e12 / (PRODUCTS[0] * 312e12) + 1e9 / (0.8 * 2.039e12) + SHORTEST
    assert computing == pytest.approx(expected)
