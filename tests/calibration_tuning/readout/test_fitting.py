"""The stacked readout: what is known is used, what is foreign is not believed, and nothing looks better than it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from calibration_tuning.readout import states
from calibration_tuning.readout.fitting import cross_fitted, fit_readout
from calibration_tuning.readout.left_out import HeldOut, LeftOut, chosen_trust, leave_sources_out, source_scores
from calibration_tuning.readout.likelihood import among_choices, chosen_log_odds
from calibration_tuning.readout.read_answers import ReadAnswers
from calibration_tuning.readout.stacked import (
    FILE,
    Read,
    StackedRecord,
    Trust,
    load_readout,
    save_arrays,
    signals_of,
)
from calibration_tuning.readout.states import fit_probe, layers_read

WIDTH = 48


def answers(n: int, seed: int, known: float = 1.0, shift: float = 0.0) -> ReadAnswers:
    """Answers whose states hold their correctness in a direction (times `known`), within a subspace of 6 dimensions
    that is the same for all seeds; `shift` moves the states out of it."""
    basis = np.linalg.qr(np.random.default_rng(7).normal(size=(WIDTH, WIDTH)))[0]
    draw = np.random.default_rng(seed)
    correct = (draw.random(n) < 0.5).astype(float)
    inner = draw.normal(size=(n, 6))
    inner[:, 0] += known * 2 * (2 * correct - 1)
    states = inner @ basis[:6] + 0.05 * draw.normal(size=(n, WIDTH)) + shift * basis[20]
    query = draw.normal(size=n) + 0.5 * (2 * correct - 1)
    logprobs = [list(-draw.exponential(1.5 - c, size=3)) for c in correct]
    sources = np.array([f"source {i % 4}" for i in range(n)])
    groups = np.array([f"{seed}/{i // 2}" for i in range(n)])
    return ReadAnswers(Read(query, logprobs, states.astype(np.float32)), correct, groups, sources)


def fitted(known: float = 1.0):  # type: ignore[no-untyped-def]
    calibration = answers(300, 1, known)
    return fit_readout(answers(400, 0, known), calibration, calibration.read.query, (1, 2), "platt"), calibration


def auroc(logit: np.ndarray, of: ReadAnswers) -> float:
    return float(roc_auc_score(of.correct, logit))


@pytest.mark.slow
def test_states_add_to_what_is_said_at_home() -> None:
    readout, calibration = fitted()
    test = answers(1000, 2)
    signals = readout.signals(test.read)
    assert auroc(readout(test.read), test) > auroc(readout.record.stateless(signals), test) + 0.05
    # What the calibration split is worth to its own blends is what the test split is worth.
    assert auroc(cross_fitted(readout, calibration), calibration) == pytest.approx(
        auroc(readout(test.read), test), abs=0.03
    )


@pytest.mark.slow
def test_random_labels_are_not_learnt() -> None:
    draw = np.random.default_rng(3)
    train, calibration = (
        ReadAnswers(a.read, draw.integers(0, 2, len(a.correct)).astype(float), a.groups, a.sources)
        for a in (answers(400, 0), answers(400, 1))
    )
    readout = fit_readout(train, calibration, calibration.read.query, (1,), "platt")
    assert auroc(cross_fitted(readout, calibration), calibration) == pytest.approx(0.5, abs=0.09)


@pytest.mark.slow
def test_foreign_answers_are_read_without_their_states() -> None:
    readout, _ = fitted()
    near, far = answers(500, 4), answers(500, 4, shift=3.0)
    assert 0.4 < readout.familiar(near.read).mean() < 0.6
    assert readout.familiar(far.read).max() < 0.01
    record = readout.record.model_copy(update={"trust": Trust()})
    readout = type(readout)(record, readout.probe)
    assert readout(far.read) == pytest.approx(record.stateless(readout.signals(far.read)), abs=0.2)


def test_trust_goes_from_one_blend_to_the_other() -> None:
    with_states, stateless = np.full(4, 2.0), np.full(4, -2.0)
    familiar = np.array([0.0, 0.05, 0.1, 1.0])
    for trust, expected in (
        (Trust(familiar=0.1, weight=0.0), [-2, 0, 2, 2]),
        (Trust(familiar=0.1, weight=0.5), [0, 1, 2, 2]),
        (Trust(familiar=0.1, weight=1.0), [2, 2, 2, 2]),
        (Trust(familiar=1.0, weight=0.0), [-2, -1.8, -1.6, 2]),
    ):
        assert trust(with_states, stateless, familiar) == pytest.approx(expected)


@pytest.mark.slow
def test_the_file_holds_all_of_it(tmp_path: Path) -> None:
    readout, _ = fitted()
    save_arrays(readout.probe, tmp_path)
    again = load_readout(StackedRecord.model_validate_json(readout.record.model_dump_json()), tmp_path)
    test = answers(50, 5)
    assert again(test.read) == pytest.approx(readout(test.read), abs=1e-6)
    assert again.familiar(test.read) == pytest.approx(readout.familiar(test.read))


@pytest.mark.slow
def test_arrays_of_another_readout_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    readout, _ = fitted()
    save_arrays(readout.probe, tmp_path)
    arrays = load_file(tmp_path / FILE)
    save_file(arrays | {"mean": np.zeros(3, np.float32)}, tmp_path / FILE)
    with pytest.raises(ValueError, match="different widths"):
        load_readout(readout.record, tmp_path)


@pytest.mark.parametrize(("n", "correct"), [(15, None), (400, 1.0), (400, 0.0)], ids=["few", "all right", "all wrong"])
def test_too_little_to_fit_a_probe_on(n: int, correct: float | None) -> None:
    train, calibration = answers(n, 0), answers(100, 1)
    if correct is not None:
        train = ReadAnswers(train.read, np.full(n, correct), train.groups, train.sources)
    readout = fit_readout(train, calibration, calibration.read.query, (1,), "platt")
    assert readout.probe is None
    assert readout.record.n_probe == 0
    test = answers(50, 5)
    assert (readout.familiar(test.read) == 1).all()
    assert np.array_equal(readout(test.read), readout.record.stateless(readout.signals(test.read)))


@pytest.mark.slow
def test_an_empty_answer_has_a_confidence() -> None:
    readout, _ = fitted()
    test = answers(2, 5)
    empty = Read(test.read.query, [[], [-0.1]], test.read.states)
    assert np.isfinite(readout(empty)).all()


@pytest.mark.slow
def test_every_source_is_left_out_once() -> None:
    table = leave_sources_out(answers(400, 0), answers(200, 1))
    assert list(table) == [f"source {k}" for k in range(4)]
    assert sum(len(part.correct) for part in table.values()) == 600
    calibration, sources = held_out_answers(SURE, UNSURE, (0, 1)), np.repeat([*table, "other"], 100)
    for source in source_scores(calibration, sources, table).values():
        assert set(source.confidences) == {"base rate", "likelihoods", "likelihoods and states", "readout"}
        assert source.confidences["likelihoods and states"].brier < source.confidences["likelihoods"].brier
        assert source.confidences["readout"] == source.confidences["likelihoods and states"]
        assert source.confidences["base rate"].auroc == 0.5
    alone = [
        ReadAnswers(a.read, a.correct, a.groups, np.full(len(a.correct), "all"))
        for a in (answers(99, 0), answers(99, 1))
    ]
    assert leave_sources_out(*alone) == {}


def held_out_answers(with_states: float, stateless: float, familiar: tuple[float, float]) -> HeldOut:
    """Their log-odds are `with_states` and `stateless` where they are right, and minus that where they are wrong."""
    draw = np.random.default_rng(0)
    correct = draw.integers(0, 2, 500).astype(float)
    return HeldOut(
        correct, with_states * (2 * correct - 1), stateless * (2 * correct - 1), draw.uniform(*familiar, 500)
    )


def test_a_source_has_no_say_in_how_far_its_own_states_are_trusted() -> None:
    """Three sources gain by their states and one is misled. Its score is that of full trust, which the others chose."""
    sources = {"misled": (WRONG, UNSURE, (0, 0.05)), **dict.fromkeys("abc", (SURE, UNSURE, (0, 0.05)))}
    left_out = {name: LeftOut(**vars(held_out_answers(*of)), base_rate=0.5) for name, of in sources.items()}
    calibration = held_out_answers(SURE, UNSURE, (0, 1))
    scores = source_scores(calibration, np.repeat([*"abc", "misled", "d"], 100), left_out)
    misled = {name: found.brier for name, found in scores["misled"].confidences.items()}
    assert misled["readout"] == misled["likelihoods and states"] > misled["likelihoods"]


def test_nor_have_its_calibration_answers() -> None:
    """They alone speak for states; the other calibration answers and the other sources speak against them."""
    against, own = (held_out_answers(of, UNSURE, (0, 0.05)) for of in (WRONG, 9.0))
    pairs = zip(vars(against).values(), vars(own).values(), strict=True)
    calibration = HeldOut(*(np.concatenate(pair) for pair in pairs))
    left_out = {name: LeftOut(**vars(against), base_rate=0.5) for name in "abcd"}
    scores = source_scores(calibration, np.repeat(["b", "a"], 500), left_out)
    assert scores["a"].confidences["readout"].brier < scores["b"].confidences["readout"].brier


def test_a_source_of_a_few_answers_has_no_vote_and_no_ece() -> None:
    few = LeftOut(*(values[:6] for values in vars(held_out_answers(WRONG, UNSURE, (0, 0.05))).values()), base_rate=0.5)
    gains = {name: LeftOut(**vars(held_out_answers(SURE, UNSURE, (0, 0.05))), base_rate=0.5) for name in "abc"}
    calibration = held_out_answers(SURE, UNSURE, (0, 1))
    assert chosen_trust(calibration, gains | {"few": few}) == chosen_trust(calibration, gains)
    scores = source_scores(calibration, np.repeat([*"abcd", "few"], 100), gains | {"few": few})
    assert scores["few"].n == 6
    assert all(confidence.ece is None for confidence in scores["few"].confidences.values())
    assert all(confidence.ece is not None for confidence in scores["a"].confidences.values())


SURE, UNSURE, WRONG = 2.0, 0.5, -2.0
Answers = tuple[float, float, tuple[float, float]]
"""Arguments of `held_out_answers`."""


@pytest.mark.parametrize(
    ("calibration", "sources", "trust"),
    [
        ((SURE, UNSURE, (0, 1)), [(SURE, UNSURE, (0, 0.05))] * 3, Trust(familiar=0.1, weight=1.0)),
        ((SURE, UNSURE, (0, 1)), [(WRONG, UNSURE, (0, 0.05))] * 3, Trust(familiar=0.5, weight=0.0)),
        ((SURE, UNSURE, (0, 1)), [(WRONG, UNSURE, (0, 0.3))] * 3, Trust(familiar=1.0, weight=0.0)),
        ((UNSURE, SURE, (0, 1)), [(WRONG, SURE, (0, 1))] * 3, Trust(familiar=1.0, weight=0.0)),
        # One source gains by its states and two lose a little: on average a gain, of less than a standard error.
        ((SURE, UNSURE, (0, 1)), [(SURE, UNSURE, (0, 0.001)), *[(0.4, UNSURE, (0, 0.001))] * 2], Trust(familiar=0.1)),
        ((SURE, UNSURE, (0, 1)), [(SURE, UNSURE, (0, 0.05))] * 2, Trust()),
        ((SURE, UNSURE, (0, 1)), [], Trust()),
    ],
)
def test_states_are_trusted_as_far_as_they_help(calibration: Answers, sources: list[Answers], trust: Trust) -> None:
    left_out = {str(k): held_out_answers(*source) for k, source in enumerate(sources)}
    chosen = chosen_trust(held_out_answers(*calibration), left_out)
    assert chosen.weight == trust.weight
    if trust.weight < 1:  # else the familiarity says nothing
        assert chosen.familiar == trust.familiar


def test_which_layers_are_read() -> None:
    assert layers_read(30) == (12, 15, 18)
    assert layers_read(1) == (1,)
    assert layers_read(2) == (1,)


@pytest.mark.slow
def test_the_probe_is_calibrated_by_its_penalty() -> None:
    train, test = answers(400, 0, known=0.3), answers(2000, 1, known=0.3)
    probe = fit_probe(train.read.states, train.correct, train.groups, answers(100, 2).read.states)
    assert probe is not None
    said = expit(probe.logit(test.read.states))
    assert np.mean((said - test.correct) ** 2) < 0.25
    assert abs(said.mean() - test.correct.mean()) < 0.05


@pytest.mark.parametrize(("principal", "off"), [(WIDTH, 0.01), (12, 0.3)], ids=["all components", "a quarter"])
def test_a_probe_on_principal_components_is_the_probe_on_all_of_the_states(
    monkeypatch: pytest.MonkeyPatch, principal: int, off: float
) -> None:
    train, held_out, test = answers(400, 0, known=0.5), answers(100, 2), answers(500, 1, known=0.5)
    plain = fit_probe(train.read.states, train.correct, train.groups, held_out.read.states)
    monkeypatch.setattr(states, "WIDE", WIDTH - 1)
    monkeypatch.setattr(states, "PRINCIPAL", principal)
    fast = fit_probe(train.read.states, train.correct, train.groups, held_out.read.states)
    assert plain is not None
    assert fast is not None
    assert fast.logit(test.read.states) == pytest.approx(plain.logit(test.read.states), abs=off)
    assert fast.familiar(test.read.states) == pytest.approx(plain.familiar(test.read.states), abs=0.02)


@pytest.mark.slow
def test_a_choice_counts_among_the_choices() -> None:
    """Long texts are unlikely whether right or wrong: as a likelihood that says the opposite of what a written answer's
    does, among the choices it tells right from wrong."""
    calibration, test = mixed(400, 1), mixed(400, 2)
    train = mixed(400, 0)
    pooled = [replace(part, read=replace(part.read, chosen=None)) for part in (train, calibration, test)]

    def known(first: ReadAnswers, second: ReadAnswers, third: ReadAnswers) -> float:
        record = fit_readout(first, second, second.read.query, (1,), "platt").record
        return auroc(record.likelihood(signals_of(third.read, None)), third)

    assert known(train, calibration, test) > 0.9 > known(*pooled) + 0.1


def mixed(n: int, seed: int) -> ReadAnswers:
    """Every second answer was chosen. Of the chosen ones the likely texts are the wrong ones, as they are short."""
    made = answers(n, seed)
    draw = np.random.default_rng(100 + seed)
    is_chosen = np.arange(n) % 2 == 1
    sign = 2 * made.correct - 1
    total = np.where(is_chosen, -6 - 3 * sign, -3 + 2 * sign) + 0.3 * draw.normal(size=n)
    chosen = np.where(is_chosen, 2 * sign + 0.5 * draw.normal(size=n), np.nan)
    read = replace(made.read, token_logprobs=[[min(-0.01, value)] for value in total], chosen=chosen)
    return replace(made, read=read)


def test_a_choice_without_its_rivals_is_a_written_answer() -> None:
    assert np.isnan(chosen_log_odds("Rome", None, None))
    assert np.isnan(chosen_log_odds("Rome", ["Rome", "Oslo"], None))
    assert np.isnan(chosen_log_odds("Bern", ["Rome", "Oslo"], [-1.0, -2.0]))
    assert chosen_log_odds("Rome", ["Rome", "Oslo", "Bern"], [-1.0, -2.0, -2.0]) == pytest.approx(1 - np.log(2))
    assert chosen_log_odds("Rome", ["Rome"], [-1.0]) == 40
    assert among_choices([-1e5, 0.0], 0) == -700
