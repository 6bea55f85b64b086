"""What a step asks of a GPU, counted on fake tensors."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig

from benchmarks.gpu_paper import WAYS, Counts, Step, count_layers, count_step, made_examples
from training.layout import Layout
from training.preflight.machines import GPUS, LAUNCHES, PRODUCTS, SECONDS_TO_LAUNCH, SHORTEST, step_seconds
from training.preflight.shapes import stated_shape

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


def test_launches_that_preflight_assumes_are_those_counted() -> None:
    shape, way = stated_shape("meta-llama/Llama-2-7b-hf"), WAYS["packed, reference kept"]
    layout = Layout(block=list(range(100, 300)), query_length=24, **way.layout)
    batch = layout.batch(made_examples(4), 1 / 4, 1)

    def each(reference_only: bool) -> float:
        two, three = (count_layers(shape, n, [batch], way, "cpu", reference_only) for n in (2, 3))
        return three.kernels - two.kernels

    assert {"training": each(False), "reference": each(True)} == pytest.approx(LAUNCHES, rel=0.25)


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
