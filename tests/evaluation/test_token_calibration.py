import numpy as np
import pytest
import torch

from evaluation.token_calibration import TokenCalibration


def brute_force(logits: np.ndarray, targets: np.ndarray, num_bins: int) -> dict[str, float]:
    """The definitions of the module's docstring, pair by pair, in float64."""
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    n, k = p.shape
    realised = np.zeros((n, k))
    realised[np.arange(n), targets] = 1
    bins = np.minimum(np.searchsorted(np.arange(1, num_bins) / num_bins, p, side="right"), num_bins - 1)
    gaps = [abs((realised - p)[bins == m].sum()) for m in range(num_bins)]
    top, best = p.max(1), p.argmax(1)
    hit = (best == targets).astype(float)
    top_gaps = [abs((hit - top)[bins[np.arange(n), best] == m].sum()) for m in range(num_bins)]
    return {
        "full_ece": sum(gaps) / n,
        "full_ece_nk": sum(gaps) / (n * k),
        "vocabulary_brier": ((p - realised) ** 2).sum() / n,
        "nll": -np.log(p[np.arange(n), targets]).mean(),
        "top1_ece": sum(top_gaps) / n,
        "accuracy": hit.mean(),
        "n": n,
    }


@pytest.mark.parametrize("num_bins", [2, 10, 15])
@pytest.mark.parametrize("vocabulary", [2, 7, 5000])
@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_equals_brute_force(num_bins: int, vocabulary: int, scale: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(150, vocabulary)) * scale
    targets = generator.integers(0, vocabulary, 150)
    ours = TokenCalibration(num_bins)
    ours.update(torch.tensor(logits), torch.tensor(targets))
    assert ours.compute() == pytest.approx(brute_force(logits, targets, num_bins), abs=1e-9)


def test_probabilities_on_bin_edges_and_one() -> None:
    # Row 0: p = (1/2, 1/2), exactly on an edge of 10 bins: both belong to bin 5, gap 1 - 1/2 - 1/2 = 0.
    # Row 1: p = (1, 0), target 1: bin 9 (1.0 is in the last bin) has gap -1, bin 0 gap +1.
    # Full-ECE = (|0| + |-1| + |1|) / 2 = 1.
    logits = torch.tensor([[0.0, 0.0], [1000.0, 0.0]], dtype=torch.float64)
    ours = TokenCalibration(10)
    ours.update(logits, torch.tensor([0, 1]))
    full, _ = ours.bins()
    assert full.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, -1]
    assert ours.compute()["full_ece"] == 1.0


def test_worst_case_is_two() -> None:
    # Always certain and always wrong: gap -1 in the last bin, +1 in the first, for each position.
    ours = TokenCalibration(10)
    ours.update(torch.tensor([[1000.0, 0.0]] * 3), torch.tensor([1, 1, 1]))
    found = ours.compute()
    assert (found["full_ece"], found["vocabulary_brier"], found["top1_ece"]) == (2.0, 2.0, 1.0)


def test_float32_logits_do_not_lose_the_small_probabilities() -> None:
    # Summing 150,000 probabilities of 1e-6 into a float32 bin stagnates; the known-wrong value is twice too high.
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(32, 151_936, generator=generator) * 2
    targets = torch.randint(0, 151_936, (32,), generator=generator)
    ours = TokenCalibration(10)
    ours.update(logits, targets)
    assert ours.compute() == pytest.approx(brute_force(logits.numpy(), targets.numpy(), 10), abs=1e-9)


def test_batches_order_and_merging_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(200, 50, generator=generator) * 4, torch.randint(0, 50, (200,), generator=generator)
    whole, first, second = (TokenCalibration() for _ in range(3))
    whole.update(logits, targets)
    shuffled = torch.randperm(200, generator=generator)
    first.update(logits[shuffled[:77]], targets[shuffled[:77]])
    second.update(logits[shuffled[77:]], targets[shuffled[77:]])
    first.merge(second)
    assert first.compute() == pytest.approx(whole.compute(), abs=1e-12)


def test_merging_an_empty_one_changes_nothing() -> None:
    ours = TokenCalibration()
    ours.update(torch.randn(5, 4), torch.zeros(5, dtype=torch.long))
    before = ours.compute()
    ours.merge(TokenCalibration())
    assert ours.compute() == before
    fresh = TokenCalibration()
    fresh.merge(ours)
    assert fresh.compute() == before


def test_no_positions() -> None:
    found = TokenCalibration().compute()
    assert found["n"] == 0
    assert np.isnan(found["full_ece"])


def test_intervals_resample_sequences() -> None:
    generator = torch.Generator().manual_seed(2)
    logits, targets = torch.randn(60, 9, generator=generator) * 3, torch.randint(0, 9, (60,), generator=generator)
    ours, same = TokenCalibration(), TokenCalibration()
    for side in (ours, same):
        side.update(logits, targets, [i // 3 for i in range(60)])
    found = ours.compute_intervals(200)
    assert found["nll"]["low"] < found["nll"]["value"] < found["nll"]["high"]
    assert found["nll"]["value"] == pytest.approx(ours.compute()["nll"])
    assert all(entry == {"value": 0, "low": 0, "high": 0} for entry in ours.difference_intervals(same, 50).values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_refuses_unusable_logits(bad: float) -> None:
    logits = torch.zeros(2, 3)
    logits[1, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        TokenCalibration().update(logits, torch.tensor([0, 1]))


def test_refuses_targets_outside_the_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"\[0, 3\)"):
        TokenCalibration().update(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="must be"):
        TokenCalibration().update(torch.zeros(2, 3), torch.tensor([0]))


def test_refuses_to_merge_unlike() -> None:
    ours, other = TokenCalibration(10), TokenCalibration(15)
    with pytest.raises(ValueError, match="merge"):
        ours.merge(other)
