"""Confidences by hand from what passes found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from calibration_tuning.config.evaluation import EvaluationSettings
from calibration_tuning.readout.likelihood import SURE, of_logprob
from calibration_tuning.records import GradedAnswer
from evaluation.agreement import agreement, clusters, majority, same_answer, semantic_entropy
from evaluation.estimators import ESTIMATORS
from evaluation.findings import Findings, key
from evaluation.passes.base import pack, unpack
from evaluation.passes.rows import Answers, reanswered_test_answers, some_answers


def row(**changes: Any) -> GradedAnswer:
    base = {
        "id": "q",
        "source": "s",
        "subject": "t",
        "group": "q",
        "question": "Which?",
        "references": ["Paris"],
        "grader": "exact",
        "answer": "Paris",
        "token_ids": [1, 2],
        "token_logprobs": [],
        "correct": 1.0,
    }
    return GradedAnswer.model_validate(base | changes)


def confidence(name: Any, own: GradedAnswer, found: dict[str, Any]) -> float:
    estimator = ESTIMATORS[name]
    measured = Findings({pass_: {key("before", own): found} for pass_ in estimator.passes}, "lora_prompt")
    scores = estimator.scores({"test": [own]}, measured, "before")["test"]
    return float(expit(scores[0]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("average_token_probability", (0.5 + 0.25) / 2),
        ("sequence_likelihood", 0.5 * 0.25),
        ("length_normalised_likelihood", np.sqrt(0.5 * 0.25)),
        ("minimum_token_probability", 0.25),
    ],
)
def test_token_probabilities(name: str, expected: float) -> None:
    found = {"answer_logprobs": [np.log(0.5), np.log(0.25)]}
    assert confidence(name, row(), found) == pytest.approx(expected)


def test_token_entropy_by_hand() -> None:
    # exp(-(log 2 + log 8) / 2) = 1 / sqrt(2 * 8): as sure as a choice among four.
    found = {"answer_entropies": [np.log(2), np.log(8)]}
    assert confidence("token_entropy", row(), found) == pytest.approx(1 / 4)
    assert confidence("token_entropy", row(), {"answer_entropies": [0.0, 0.0]}) == pytest.approx(1)


@pytest.mark.parametrize("name", [name for name, one in ESTIMATORS.items() if "tokens" in one.passes])
def test_an_empty_answer_is_as_likely_as_the_least_likely_calibration_answer(name: Any) -> None:
    """Without a score it would keep the confidence out of every choice of the best one."""
    rows = {"calibration": [row(id=f"c{i}") for i in range(3)], "test": [row(id="empty"), row(id="unread")]}
    found: dict[str, dict[str, Any]] = {"tokens": {}, "samples": {}}
    for i, one in enumerate([*rows["calibration"], rows["test"][0]]):
        likely = [] if one.id == "empty" else [-1.0 - i]
        found["tokens"][key("before", one)] = {
            "answer_logprobs": likely,
            "answer_entropies": [-value for value in likely],
        }
        found["samples"][key("before", one)] = {"samples": samples("Rome")}
    scores = ESTIMATORS[name].scores(rows, Findings(found, "lora_prompt"), "before")
    assert scores["test"][0] == scores["calibration"].min() < scores["calibration"].max()
    assert np.isnan(scores["test"][1]), "the pass has not looked at it"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("Rome", "Oslo"), 1 / 8),  # no sample agrees: the likelihood of the answer
        (("Paris", "Rome"), (1 / 8) ** (1 / 2)),
        (("Paris", "Paris", "paris", "Oslo"), (1 / 8) ** (1 / 4)),
        (("Paris", "Paris"), 1 - 1e-6),  # all agree: as sure as self-consistency
    ],
)
def test_cocoa_by_hand(said: tuple[str, ...], expected: float) -> None:
    found = {"samples": samples(*said), "answer_logprobs": [np.log(1 / 2), np.log(1 / 4)]}
    assert confidence("cocoa", row(), found) == pytest.approx(expected)


def test_cocoa_needs_samples() -> None:
    assert np.isnan(confidence("cocoa", row(), {"samples": [], "answer_logprobs": [-1.0]}))


def test_a_long_answers_likelihood_keeps_its_rank() -> None:
    # exp(-1000) is 0 in floating point; its log-odds are not.
    assert of_logprob(-1000.0) == -700.0
    assert of_logprob(-300.0) == pytest.approx(-300.0)
    assert of_logprob(0.0) == SURE
    assert of_logprob(np.log(0.5)) == pytest.approx(0.0)


def test_choices() -> None:
    own = row(choices=["Rome", "Paris", "Oslo"], style="choice", grader="choice", answer="B")
    found = {"choice_logprobs": np.log([0.1, 0.3, 0.1]).tolist()}
    assert confidence("choice_probability", own, found) == pytest.approx(0.6)
    # An answer that names no choice: the likeliest is what the model would choose.
    unread = own.model_copy(update={"answer": "the capital"})
    assert confidence("choice_probability", unread, found) == pytest.approx(0.6)
    third = own.model_copy(update={"answer": "C"})
    assert confidence("choice_probability", third, found) == pytest.approx(0.2)


def test_expressed() -> None:
    assert confidence("query", row(), {"logit": 0.0}) == 0.5
    assert confidence("p_true", row(), {"logit": np.log(3)}) == pytest.approx(0.75)
    assert confidence("verbalised_percent", row(), {"reply": "80%"}) == pytest.approx(0.8)
    assert confidence("verbalised_words", row(), {"reply": "about even"}) == pytest.approx(0.5)
    assert np.isnan(confidence("verbalised_percent", row(), {"reply": "I am sure"}))


def test_rows_that_a_pass_did_not_see_have_none() -> None:
    scores = ESTIMATORS["query"].scores({"test": [row()]}, Findings({}, "lora_prompt"), "after")
    assert np.isnan(scores["test"]).all()


def test_a_bare_probe_leaves_the_model_as_it_came() -> None:
    values: dict[str, Any] = {"query": {key("before", row()): {"logit": 1.0}, key("after", row()): {"logit": 2.0}}}
    values["tokens"] = {key("before", row()): {"answer_logprobs": [-1.0]}}
    probed = Findings(values, "probe")
    assert probed.of("query", "after", row()) == {"logit": 2.0}
    assert probed.of("tokens", "after", row()) == {"answer_logprobs": [-1.0]}
    assert Findings(values, "lora_prompt").of("tokens", "after", row()) is None


def samples(*said: str) -> list[dict[str, Any]]:
    return [{"answer": text, "correct": float(text == "Paris"), "tokens": 1, "logprob": -1.0} for text in said]


def test_the_grader_says_what_is_the_same() -> None:
    assert same_answer(row(), "Paris", "paris.")
    assert not same_answer(row(), "Paris", "Rome")
    assert same_answer(row(grader="numeric"), "1,000", "1000 km")
    assert same_answer(row(grader="math"), "1/2", "0.5")
    assert same_answer(row(grader="choice", choices=["Rome", "Paris"], style="choice"), "B", "Paris")
    assert not same_answer(row(grader="code"), "x = 1", "y = 1")
    assert not same_answer(row(), "", "Rome")


def test_clusters_and_agreement_by_hand() -> None:
    drawn = samples("Paris", "paris", "Rome", "Oslo")
    assert clusters(row(), [s["answer"] for s in drawn]) == [[0, 1], [2], [3]]
    assert agreement(row(), drawn) == 0.5
    assert agreement(row(), []) is None
    assert majority(row(), drawn) == (1.0, 0.5)
    assert majority(row(), samples("Rome", "Paris")) == (0.0, 0.5)  # the first of equals


def test_semantic_entropy_by_hand() -> None:
    # Greedy Paris and three samples: shares 1/2, 1/4, 1/4; H = 1.5 log 2; over log 4 = 0.75; 1 - 0.75.
    assert semantic_entropy(row(), samples("Paris", "Rome", "Oslo")) == pytest.approx(0.25)
    assert semantic_entropy(row(), samples("Paris", "Paris", "Paris")) == 1.0
    assert semantic_entropy(row(), samples("a", "b", "c")) == pytest.approx(0.0)
    assert semantic_entropy(row(), []) is None


@pytest.mark.slow
def test_a_probe_learns_what_is_in_the_hidden_state(make_evidence: Any) -> None:
    evidence = make_evidence((0.0, 9.0), settings={"estimators": ["query", "probe"]})
    correct = evidence.correct("test") >= 0.5
    blind, seeing = (evidence.scores["probe", state]["test"] for state in ("before", "after"))
    assert ((seeing > 0) == correct).mean() > 0.95
    assert ((blind > 0) == correct).mean() < 0.8
    # Out of fold on the calibration split: a blind probe must not look as if it had learnt something.
    own = evidence.scores["probe", "before"]["calibration"]
    assert abs(np.corrcoef(own, evidence.correct("calibration"))[0, 1]) < 0.35


@pytest.mark.slow
@pytest.mark.parametrize("why", ["few right", "few groups", "all the right ones in one group"])
def test_a_probe_that_cannot_be_fitted_is_none(make_evidence: Any, why: str) -> None:
    rows = {name: [*own] for name, own in make_evidence(settings={"estimators": ["query"]}).splits.items()}
    changes = {
        "few right": lambda i: {"correct": float(i < 9)},
        "few groups": lambda i: {"group": str(i % 9)},
        "all the right ones in one group": lambda i: {"correct": float(i < 12), "group": "g" if i < 12 else str(i)},
    }[why]
    rows["calibration"] = [one.model_copy(update=changes(i)) for i, one in enumerate(rows["calibration"])]
    evidence = make_evidence((0.0, 9.0), splits=rows, settings={"estimators": ["query", "probe"]})
    assert all(np.isnan(own).all() for own in evidence.scores["probe", "after"].values())


def with_states(n: int, seed: int, skill: float, shift: float = 0.0) -> tuple[list[GradedAnswer], dict[str, Any]]:
    """Answers, half of them right, with states [3] of which the first knows that by `skill`."""
    generator = np.random.default_rng(seed)
    rows = [row(id=f"{seed}-{i}", group=f"{seed}-{i}", correct=float(i % 2)) for i in range(n)]
    found = {}
    for one in rows:
        states = generator.normal(size=3).astype(np.float32) + shift
        states[0] += skill * (one.correct - 0.5)
        found[key("before", one)] = {"states": pack(states)}
    return rows, found


def scores_of(name: Any, training: int, skill: float, shift: float = 0.0) -> tuple[np.ndarray, list[GradedAnswer]]:
    train, of_train = with_states(training, 1, skill)
    test, of_test = with_states(300, 2, skill, shift)
    unread = row(id="unread")
    passes = {ESTIMATORS[name].passes[0]: of_train | of_test}
    findings = Findings(passes, "lora_prompt", training=train)
    return ESTIMATORS[name].scores({"test": [*test, unread]}, findings, "before")["test"], test


@pytest.mark.slow
def test_p_ik_learns_from_training_answers_what_the_questions_states_know() -> None:
    seeing, test = scores_of("p_ik", 200, skill=6.0)
    correct = np.array([one.correct for one in test])
    assert ((seeing[:-1] > 0) == correct).mean() > 0.95
    assert np.isnan(seeing[-1]), "a question that was not read"
    blind, _ = scores_of("p_ik", 200, skill=0.0)
    assert abs(np.corrcoef(blind[:-1], correct)[0, 1]) < 0.2
    assert np.isnan(scores_of("p_ik", 18, skill=6.0)[0]).all(), "nine wrong answers are too few"


@pytest.mark.slow
def test_density_is_of_the_mahalanobis_distance() -> None:
    scores, test = scores_of("density", 4000, skill=0.0)
    _, found = with_states(300, 2, 0.0)
    states = np.array([unpack(found[key("before", one)]["states"]) for one in test], np.float64)
    # Independent normal states: the distance is the plain one, and exp(-d^2 / 2H) the H-th root of the density.
    assert expit(scores[:-1]) == pytest.approx(np.exp(-(states**2).sum(1) / 6), abs=0.06)
    assert np.isnan(scores[-1])
    assert np.nanmean(scores_of("density", 4000, 0.0, shift=5.0)[0]) < np.nanmin(scores), "unusual states"
    assert np.isnan(scores_of("density", 9, skill=0.0)[0]).all()


def test_written_questions_are_drawn_by_their_ids_alone() -> None:
    def drawn(rows: list[Any], limit: int | None, seed: int) -> list[Any]:
        return some_answers(Answers({"test": rows}, {}, EvaluationSettings(written_questions=limit), seed))

    rows = [row(id=f"q{i}") for i in range(200)]
    chosen = drawn(rows, 50, seed=1)
    assert len(chosen) == 50
    assert chosen == sorted(chosen, key=lambda one: int(one.id[1:])), "in their order"
    assert 15 < sum(int(one.id[1:]) < 100 for one in chosen) < 35, "from all over a sorted split"
    assert {one.id for one in drawn(rows[::-1], 50, seed=1)} == {one.id for one in chosen}
    assert {one.id for one in drawn(rows, 50, seed=2)} != {one.id for one in chosen}
    assert drawn(rows, None, 1) == drawn(rows, 200, 1) == rows


def test_the_questions_answered_again_are_from_all_over_the_test_split() -> None:
    """Large groups come first in a split, and so would be all of the first answers."""
    rows = [row(id=f"q{i}") for i in range(200)]
    chosen = reanswered_test_answers(Answers({"test": rows}, {}, EvaluationSettings(adapter_on_answers=50), 1))
    assert len(chosen) == 50
    assert 15 < sum(int(one.id[1:]) < 100 for one in chosen) < 35
