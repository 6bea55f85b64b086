"""What the first sentences of a report say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calibration_tuning.metrics.bootstrap import Difference
from calibration_tuning.metrics.calibrators import Calibrator
from evaluation import sentences, story
from evaluation.evidence import Evidence
from evaluation.schema import Comparison, Curve, Decisions, Headline, Primary, Rate
from evaluation.sections import SECTIONS
from tests.evaluation.report.parts import parts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("gained", "tuning", "over_subject", "said"),
    [
        ("better", "better", "better", "Confidence improved on"),
        ("better", "unclear", "better", "Confidence improved, but not clearly by training the adapter, on"),
        ("better", "worse", "better", "Confidence improved, but not by training the adapter, on"),
        ("better", "better", "unclear", "No gain was shown beyond knowing each subject's accuracy, on"),
        ("better", "unclear", "unclear", "No gain was shown beyond knowing each subject's accuracy, on"),
        ("unclear", "unclear", "better", "Confidence did not clearly change on"),
        ("worse", "worse", "worse", "Confidence became worse on"),
        ("", "", "", "Confidence was measured on"),
    ],
)
def test_the_headline_is_what_the_verdicts_say(gained: str, tuning: str, over_subject: str, said: str) -> None:
    def change(verdict: str) -> dict[str, Difference]:
        return {"brier": Difference(0.0, verdict=verdict)}

    parts_of = {"difference": change(gained), "tuning": change(tuning), "over_subject_accuracy": change(over_subject)}
    test = Comparison.model_construct(n=80, **parts_of)
    headline = Headline.model_construct(test=test)
    assert sentences.verdict_sentence(parts(headline=headline)) == f"{said} 80 held-out questions."


@pytest.mark.parametrize(
    ("tuning", "primary", "subject", "step", "credit"),
    [
        ("unclear", "better", "better", "Use the tuned confidence", "no clear gain"),
        ("unclear", "better", "unclear", "Do not rely on the confidence yet", "no gain beyond what the accuracy"),
        ("worse", "better", "better", "the same one without tuning is clearly better", "a clear loss"),
        ("worse", "unclear", "unclear", "the same one without tuning is clearly better", "a clear loss"),
        ("", "", "", "Curate more test answers", "not judged"),
    ],
)
def test_what_is_advised_agrees_with_the_verdicts(
    tuning: str, primary: str, subject: str, step: str, credit: str
) -> None:
    def change(verdict: str) -> dict[str, Difference]:
        return {"brier": Difference(-0.01, -0.02, -0.001, verdict=verdict)}

    parts_of = {"difference": change("better" if tuning else ""), "tuning": change(tuning)}
    test = Comparison.model_construct(n=80, over_subject_accuracy=change(subject), **parts_of)
    metrics = parts(
        headline=Headline.model_construct(test=test),
        primary=Primary.model_construct(other="p_true/before", label="P(True)", difference=change(primary)["brier"]),
    )
    assert step in story._which_confidence(metrics)
    assert credit in sentences.credit_sentence(metrics)


@pytest.mark.parametrize(
    ("n", "said"),
    [(19, "19 test answers are too few to say"), (20, "even the surest test answers are wrong more often")],
)
def test_too_few_test_answers_say_nothing_of_what_a_threshold_needs(n: int, said: str) -> None:
    curve = Curve(coverage=[0.5, 1.0], risk=[0.0, 0.5])  # the surer half is right, but fewer than twenty
    decisions = Decisions.model_construct(curves={"after": curve}, confidence=0.9, n_groups=10, n_calibration=10)
    metrics = parts(decisions=decisions, headline=Headline.model_construct(test=Comparison.model_construct(n=n)))
    assert said in story._needed(metrics, Rate.model_construct(error_rate=0.1))


def test_as_many_questions_as_it_says_show_the_difference_five_times_out_of_six() -> None:
    """Differences of 0.01 on average, with a standard deviation of 0.3 a question."""
    now = 400
    error = 0.3 / now**0.5
    said = story._more(Difference(0.01, 0.01 - 1.96 * error, 0.01 + 1.96 * error), now)
    needed = int(said.split()[1].replace(",", ""))
    found = np.random.default_rng(0).normal(0.01, 0.3 / needed**0.5, 2000)
    assert (np.abs(found) > 1.96 * 0.3 / needed**0.5).mean() == pytest.approx(5 / 6, abs=0.04)


def test_nothing_is_a_share_of_nothing() -> None:
    assert sentences._relative(0.1, 0.05) == " (-50%)"
    assert sentences._relative(1e-12, 0.2) == sentences._relative(0.0, 0.2) == sentences._relative(None, 0.2) == ""


@pytest.mark.parametrize(
    ("other", "said", "worth"),
    [
        ("query/before", "Confidence improved on", "a clear gain"),
        ("p_true/before", "Confidence improved, but not clearly by training the adapter, on", "no clear gain"),
    ],
)
def test_tuning_is_judged_by_the_primary_comparison_where_that_is_the_same_one(
    other: str, said: str, worth: str
) -> None:
    better, unclear = (Difference(-0.01, -0.02, -0.001, verdict=verdict) for verdict in ("better", "unclear"))
    parts_of = {
        "difference": {"brier": better},
        "tuning": {"brier": unclear},
        "over_subject_accuracy": {"brier": better},
    }
    test = Comparison.model_construct(n=80, **parts_of)
    primary = Primary.model_construct(other=other, difference=better)
    metrics = parts(headline=Headline.model_construct(test=test), primary=primary)
    assert sentences.verdict_sentence(metrics).startswith(said)
    assert sentences.credit_sentence(metrics).endswith(f": {worth}.")


@pytest.mark.parametrize(
    ("skills", "other"),
    [((0.0, 5.0), "clearly better than"), ((5.0, -4.0), "clearly worse than"), ((0.0, 0.0), "not clearly different")],
)
def test_the_scores_say_what_the_subject_alone_would_give(
    make_evidence: Callable[..., Evidence], skills: tuple[float, float], other: str
) -> None:
    metrics = parts(headline=SECTIONS["headline"](make_evidence(skills)), calibrator=Calibrator("temperature"))
    assert "Predicting the accuracy of the answer's subject" in sentences.scores_sentence(metrics)
    assert f"the tuned confidence is {other}" in sentences.scores_sentence(metrics)


@pytest.mark.parametrize(
    ("skills", "said"),
    [((0.0, 5.0), "a clear gain"), ((5.0, -4.0), "a clear loss"), ((0.0, 0.0), "no clear gain")],
)
def test_tuning_gets_the_credit_that_is_its_own(
    make_evidence: Callable[..., Evidence], skills: tuple[float, float], said: str
) -> None:
    assert said in sentences.credit_sentence(parts(headline=SECTIONS["headline"](make_evidence(skills))))


@pytest.mark.parametrize(
    ("skills", "said"),
    [(0.0, "clearly better than the tuned confidence"), (5.0, "clearly worse than the tuned confidence")],
)
def test_rivals_are_named_whatever_they_say(make_evidence: Callable[..., Evidence], skills: float, said: str) -> None:
    made = make_evidence((0.0, skills), settings={"estimators": ["query", "sequence_likelihood", "p_true"]})
    metrics = parts(**{name: SECTIONS[name](made) for name in ("estimators", "posthoc")})
    name, state = metrics.posthoc.best_other.split("/")
    assert name == "sequence_likelihood", "likelier when right; p_true is noise"
    assert f"the sequence likelihood of the model {state} tuning" in sentences.rivals_sentence(metrics)
    assert said in sentences.rivals_sentence(metrics)
