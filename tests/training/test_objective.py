import math

import pytest
import torch

from calibration_tuning.run_config import ObjectiveSettings
from training.objective import DIVERGENCES, QUERY_LOSSES, objective

NO, YES = 1, 2


def batch(rows: int = 3, answer: int = 2, vocabulary: int = 6, seed: int = 0) -> dict:
    g = torch.Generator().manual_seed(seed)
    mask = torch.ones(rows, answer, dtype=torch.bool)
    mask[0, 0] = False
    return {
        "query_logits": torch.randn(rows, vocabulary, generator=g),
        "answer_tokens": (NO, YES),
        "correct": torch.tensor([1.0, 0.0, 1.0])[:rows],
        "answer_logits": torch.randn(rows, answer, vocabulary, generator=g),
        "reference_logits": torch.randn(rows, answer, vocabulary, generator=g),
        "answer_ids": torch.randint(0, vocabulary, (rows, answer), generator=g),
        "answer_mask": mask,
    }


def only(**settings: float | str) -> ObjectiveSettings:
    return ObjectiveSettings(**({"mass_weight": 0, "kl_weight": 0} | settings))  # type: ignore[arg-type]


def test_query_losses_by_hand() -> None:
    # logits (no, yes) = (0, log 3): P(yes) = 3/4.
    z, one, zero = torch.tensor([[0.0, math.log(3)]]), torch.tensor([1.0]), torch.tensor([0.0])
    assert QUERY_LOSSES["cross_entropy"](z, one, 2).item() == pytest.approx(-math.log(0.75))
    assert QUERY_LOSSES["cross_entropy"](z, torch.tensor([0.5]), 2).item() == pytest.approx(
        -0.5 * (math.log(0.75) + math.log(0.25))
    )
    assert QUERY_LOSSES["brier"](z, zero, 2).item() == pytest.approx(0.5625)
    assert QUERY_LOSSES["focal"](z, one, 2).item() == pytest.approx(-(0.25**2) * math.log(0.75))
    assert QUERY_LOSSES["focal"](z, zero, 0).item() == pytest.approx(-math.log(0.25))


@pytest.mark.parametrize("name", ["cross_entropy", "brier"])
def test_proper_losses_are_least_at_the_true_probability(name: str) -> None:
    p = torch.linspace(0.01, 0.99, 99)
    z = torch.stack([torch.zeros(99), torch.logit(p)], 1)
    expected = 0.3 * QUERY_LOSSES[name](z, torch.ones(99), 2) + 0.7 * QUERY_LOSSES[name](z, torch.zeros(99), 2)
    assert p[expected.argmin()].item() == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("name", list(DIVERGENCES))
def test_divergences_vanish_only_at_equality(name: str) -> None:
    p, q = (torch.randn(5, 7, generator=torch.Generator().manual_seed(s)).log_softmax(-1) for s in (0, 1))
    assert torch.allclose(DIVERGENCES[name](p, p), torch.zeros(5), atol=1e-7)
    assert (DIVERGENCES[name](p, q) > 0.01).all()


def test_directions_of_the_divergences() -> None:
    tuned, reference = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
    forward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    reverse = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert DIVERGENCES["forward_kl"](tuned, reference).item() == pytest.approx(forward, abs=1e-6)
    assert DIVERGENCES["reverse_kl"](tuned, reference).item() == pytest.approx(reverse, abs=1e-6)
    disjoint = torch.tensor([1 - 1e-7, 1e-7]).log(), torch.tensor([1e-7, 1 - 1e-7]).log()
    assert DIVERGENCES["jsd"](*disjoint).item() == pytest.approx(math.log(2), abs=1e-4)


def test_full_mass_weight_is_cross_entropy_over_the_vocabulary() -> None:
    values = batch()
    total, parts = objective(only(mass_weight=1.0), **values)
    targets = torch.where(values["correct"] > 0, YES, NO)
    expected = torch.nn.functional.cross_entropy(values["query_logits"], targets)
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)
    mass = values["query_logits"].softmax(-1)[:, [NO, YES]].sum(1).mean()
    assert parts["mass"].item() == pytest.approx(mass.item(), abs=1e-6)


def test_label_smoothing_moves_targets_toward_a_half() -> None:
    values = batch(rows=1)
    values["correct"] = torch.tensor([1.0])
    smoothed, _ = objective(only(label_smoothing=0.2), **values)
    values["correct"] = torch.tensor([0.9])
    assert smoothed.item() == pytest.approx(objective(only(), **values)[0].item(), abs=1e-6)


def test_only_own_answer_tokens_count() -> None:
    values = batch()
    settings = only(kl_weight=1.0, answer_nll_weight=1.0)
    total, _ = objective(settings, **values)
    values["answer_logits"][0, 0] = 1e3 * torch.randn(6)
    values["reference_logits"][0, 0] = -5.0
    values["answer_ids"][0, 0] = 5
    assert objective(settings, **values)[0].item() == total.item()
    values["answer_logits"][0, 1, 0] += 1.0
    assert objective(settings, **values)[0].item() != total.item()


def test_answer_nll_is_on_correct_answers_only() -> None:
    values = batch()
    _, parts = objective(only(answer_nll_weight=1.0), **values)
    logp = values["answer_logits"].log_softmax(-1).gather(-1, values["answer_ids"].unsqueeze(-1)).squeeze(-1)
    # Row 0 (correct) has its second token only, row 1 is incorrect, row 2 (correct) has both: mean over 3 examples.
    expected = -(logp[0, 1] + logp[2].mean()) / 3
    assert parts["answer_nll"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_mean_over_examples_does_not_depend_on_micro_batches() -> None:
    settings = ObjectiveSettings(kl_weight=0.7, answer_nll_weight=0.3)
    values = batch()
    whole, _ = objective(settings, **values)
    parts = []
    for row in range(3):
        one = {k: v if isinstance(v, tuple) else v[row : row + 1] for k, v in values.items()}
        parts.append(objective(settings, **one)[0])
    assert torch.stack(parts).mean().item() == pytest.approx(whole.item(), abs=1e-6)


def test_an_empty_batch_is_an_error() -> None:
    values = {k: v if isinstance(v, tuple) else v[:0] for k, v in batch().items()}
    with pytest.raises(ValueError, match="supervised"):
        objective(only(), **values)
