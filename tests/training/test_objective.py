import math

import pytest
import torch

from calibration_tuning.config.training import ObjectiveSettings
from training.objective import DIVERGENCES, QUERY_LOSSES, AnswerTokens, answer_terms, objective

NO, YES = 1, 2
VOCABULARY = 6


def batch(rows: int = 3, seed: int = 0, chunks: int = 1) -> dict:
    """Three examples with one, two and two answer tokens; the "hidden states" are the vocabulary's logits."""
    g = torch.Generator().manual_seed(seed)
    query = torch.randn(3, VOCABULARY, generator=g)[:rows]
    z = query[:, [NO, YES]]
    example = torch.tensor([0, 1, 1, 2, 2])
    kept = example < rows
    hidden, reference = (torch.randn(5, VOCABULARY, generator=g)[kept] for _ in range(2))
    return {
        "z": z,
        "log_mass": z.logsumexp(-1) - query.logsumexp(-1),
        "correct": torch.tensor([1.0, 0.0, 1.0])[:rows],
        "weight": torch.full((rows,), 1 / rows),
        "answers": AnswerTokens(
            ids=torch.randint(0, VOCABULARY, (5,), generator=g)[kept],
            example=example[kept],
            grade=torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])[kept],
            share=torch.tensor([1.0, 0.5, 0.5, 0.5, 0.5])[kept],
            hidden=hidden,
            reference=reference,
            chunks=chunks,
        ),
        "logits_of": lambda hidden: hidden,
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
    query = torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(0))
    total, parts = objective(only(mass_weight=1.0), **values)
    targets = torch.where(values["correct"] > 0, YES, NO)
    assert total.item() == pytest.approx(torch.nn.functional.cross_entropy(query, targets).item(), abs=1e-6)
    mass = query.softmax(-1)[:, [NO, YES]].sum(1).mean()
    assert parts["mass"].item() == pytest.approx(mass.item(), abs=1e-6)


def test_a_probe_has_no_mass() -> None:
    total, parts = objective(only(mass_weight=1.0), **batch() | {"log_mass": None})
    assert "mass" not in parts
    assert total.item() == parts["query"].item()


def test_label_smoothing_moves_targets_toward_a_half() -> None:
    values = batch(rows=1)
    values["correct"] = torch.tensor([1.0])
    smoothed, _ = objective(only(label_smoothing=0.2), **values)
    values["correct"] = torch.tensor([0.9])
    assert smoothed.item() == pytest.approx(objective(only(), **values)[0].item(), abs=1e-6)


def test_a_smoothed_soft_target_is_between() -> None:
    # c = 0.75, epsilon = 0.2: target 0.8 * 0.75 + 0.1 = 0.7.
    values = batch(rows=1) | {"correct": torch.tensor([0.75])}
    expected, _ = objective(only(), **values | {"correct": torch.tensor([0.7])})
    assert objective(only(label_smoothing=0.2), **values)[0].item() == pytest.approx(expected.item(), abs=1e-6)


def test_every_answer_weighs_the_same_however_long_it_is() -> None:
    values = batch()
    answers = values["answers"]
    _, parts = objective(only(kl_weight=1.0), **values)
    p, q = answers.reference.log_softmax(-1), answers.hidden.log_softmax(-1)
    each = (p.exp() * (p - q)).sum(-1)
    expected = (each[0] + each[1:3].mean() + each[3:5].mean()) / 3
    assert parts["kl"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_answer_nll_is_on_correct_answers_only() -> None:
    values = batch()
    answers = values["answers"]
    _, parts = objective(only(answer_nll_weight=1.0), **values)
    logp = answers.hidden.log_softmax(-1).gather(1, answers.ids.unsqueeze(1)).squeeze(1)
    # Examples 0 and 2 are correct, 1 is not: mean over 3 examples.
    expected = -(logp[0] + logp[3:5].mean()) / 3
    assert parts["answer_nll"].item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("kind", list(DIVERGENCES))
@pytest.mark.parametrize("chunks", [2, 5, 7])
def test_chunks_change_neither_values_nor_gradients(kind: str, chunks: int) -> None:
    """Also with more chunks than tokens, where some are empty."""
    g = torch.Generator().manual_seed(1)
    head = torch.randn(4, VOCABULARY, generator=g)
    found = []
    for count in (1, chunks):
        hidden = torch.randn(5, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
        reference = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
        answers = AnswerTokens(
            torch.tensor([0, 5, 3, 3, 1]), torch.zeros(5), torch.ones(5), torch.ones(5), hidden, reference, count
        )
        divergence, nll = answer_terms(answers, lambda h: h @ head, DIVERGENCES[kind], True)
        assert divergence is not None
        assert nll is not None
        (divergence.sum() + nll.square().sum()).backward()
        found.append((divergence.detach(), nll.detach(), hidden.grad))
    for whole, chunked in zip(*found, strict=True):
        torch.testing.assert_close(chunked, whole)


def test_shares_of_a_step_add_up_to_its_mean() -> None:
    settings = ObjectiveSettings(kl_weight=0.7, answer_nll_weight=0.3)
    values = batch()
    whole, _ = objective(settings, **values)
    shares = []
    for row in range(3):
        a = values["answers"]
        own = a.example == row
        answers = AnswerTokens(
            a.ids[own],
            torch.zeros(own.sum(), dtype=torch.long),
            a.share[own],
            a.grade[own],
            a.hidden[own],
            a.reference[own],
            1,
        )
        one = {k: values[k][row : row + 1] for k in ("z", "log_mass", "correct", "weight")}
        shares.append(objective(settings, **one, answers=answers, logits_of=values["logits_of"])[0])
    assert torch.stack(shares).sum().item() == pytest.approx(whole.item(), abs=1e-6)


def test_an_example_of_weight_zero_only_fills_the_batch() -> None:
    settings = ObjectiveSettings(kl_weight=0.7, answer_nll_weight=0.3)
    values = batch()
    values["weight"] = torch.tensor([0.5, 0.5, 0.0])
    total, _ = objective(settings, **values)
    values["z"] = values["z"].clone()
    values["z"][2] = 3.0
    assert objective(settings, **values)[0].item() == total.item()


def test_an_empty_batch_is_an_error() -> None:
    values = batch()
    with pytest.raises(ValueError, match="supervised"):
        objective(
            only(),
            **{k: values[k][:0] for k in ("z", "log_mass", "correct", "weight")},
            answers=None,
            logits_of=lambda h: h,
        )


def test_a_wrong_answer_is_not_learnt_because_others_were_right() -> None:
    """Soft targets: the share of right answers among several is no grade of the proposed one."""
    values = batch() | {"correct": torch.tensor([0.5, 0.75, 0.5])}
    _, parts = objective(only(answer_nll_weight=1.0), **values)
    _, hard = objective(only(answer_nll_weight=1.0), **batch())
    assert parts["answer_nll"].item() == pytest.approx(hard["answer_nll"].item())
