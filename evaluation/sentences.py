"""The numbers in words."""

from __future__ import annotations

from evaluation.schema import Metrics, ThresholdResult
from evaluation.tables import number

CHANGED = {
    "better": "Confidence improved",
    "worse": "Confidence became worse",
    "unclear": "Confidence did not clearly change",
    "": "Confidence was measured",
}
WORTH = {"better": "a clear gain", "worse": "a clear loss", "unclear": "no clear gain", "": "not judged"}
AGAINST = {
    "better": "clearly better than",
    "worse": "clearly worse than",
    "unclear": "not clearly different from",
    "": "not compared with",
}


def verdict_sentence(metrics: Metrics) -> str:
    """The verdict, by the Brier score (a proper score) and corrected p-values."""
    test = metrics.headline.test
    before, after, untuned, rate = (
        number_of(side["brier"].value) for side in (test.before, test.after, test.before_calibrated, test.base_rate)
    )
    said, says = (percent(side["mean_confidence"].value) for side in (test.before, test.after))
    change, over = test.difference["brier"], test.over_base_rate["brier"]
    return (
        f"{CHANGED[change.verdict]} on {test.n} held-out questions. Before tuning the model said {said} on average and "
        f"was right {percent(test.after['accuracy'].value)} of the time; now it says {says}. Brier score {before} -> "
        f"{after} (difference {number(change, sign=True)}). A {metrics.calibrator.kind} calibrator without tuning "
        f"scores {untuned}. Always saying the base rate scores {rate}; the tuned query is {AGAINST[over.verdict]} that."
    )


def credit_sentence(metrics: Metrics) -> str:
    """How much of the gain is due to tuning, and not to any calibrator."""
    change = metrics.headline.test.tuning["brier"]
    return (
        "Tuning alone, compared with the untuned query and the same kind of calibrator, changes the Brier score by "
        f"{number(change, sign=True)}: {WORTH[change.verdict]}."
    )


def rivals_sentence(metrics: Metrics) -> str:
    """The best other confidence, whether it is better or worse than the tuned query; chosen without the test split."""
    name, _, state = (metrics.posthoc.best_other or "").partition("/")
    row = metrics.estimators["test"].get(name)
    rated = row and row.states.get(state)  # type: ignore[call-overload]
    if row is None or not rated or rated.against_query is None:
        return "No other confidence was measured on all of enough questions."
    change = rated.against_query["brier"]
    return (
        f"The best other confidence, chosen on the calibration split, is the {row.label} of the model {state} tuning. "
        f"Calibrated the same way, it scores {number_of(rated.calibrated['brier'].value)}: {AGAINST[change.verdict]} "
        f"the tuned query (difference {number(change, sign=True)})."
    )


def sparse_bins_sentence(metrics: Metrics) -> str | None:
    """That few answers are in some bins of the ECE after tuning; None where all hold enough."""
    warning = metrics.headline.test.after["ece"].warning
    return f"ECE after tuning: {warning}." if warning else None


def answers_sentence(metrics: Metrics) -> str:
    again = metrics.answers
    if again is None:
        return "Answers with the adapter on were not asked for (evaluation.adapter_on_answers: 0)."
    return (
        "Answers are generated with the adapter off, so tuning cannot change them. With the adapter on, "
        f"{percent(again.changed.value)} of {again.n} answers would change, and their accuracy would go from "
        f"{number_of(again.accuracy_adapter_off.value)} to {number_of(again.accuracy_adapter_on.value)} "
        f"(difference {number(again.accuracy_difference, sign=True)})."
    )


def abstention_sentences(metrics: Metrics) -> list[str]:
    """A sentence for every wanted error rate: what no confidence could avoid, then what these reach."""
    decisions = metrics.decisions
    sentences = []
    for rate in decisions.rates:
        text = (
            f"At most {rate.error_rate:.0%} wrong: because {decisions.accuracy:.1%} of answers are correct, at least "
            f"{rate.unavoidable_abstention:.0%} of questions must go unanswered, whatever the confidence. "
            f"Tuned query: {_reached(rate.after)}"
        )
        if decisions.best_other and rate.best_other:
            text += f" {decisions.best_other[0].upper()}{decisions.best_other[1:]} tuning: {_reached(rate.best_other)}"
        sentences.append(text)
    return sentences


def _reached(side: ThresholdResult) -> str:
    if side.threshold is None:
        return "no threshold meets this target on the calibration data."
    threshold = f"the threshold {side.threshold:.2f} of the uncalibrated confidence"
    if side.calibrated is not None:
        threshold = f"the threshold {side.calibrated:.2f} ({side.threshold:.2f} before calibration)"
    if side.error is None:
        return f"no test answer reaches {threshold}."
    return (
        f"{threshold} answers {side.coverage:.0%} of the test questions, and {side.error:.1%} of these answers are "
        f"wrong [{side.error_low:.1%}, {side.error_high:.1%}]."
    )


def worst_subject_sentence(metrics: Metrics) -> str:
    worst = metrics.subjects.worst
    if worst is None:
        return "No subject has ten independent test questions, so none is rated."
    gap = worst.gap.value or 0.0
    direction = "overconfident" if gap > 0 else "underconfident"
    doubt = "" if worst.clear else " So large a gap may be chance."
    return (
        f"Largest gap of {worst.rated} subjects after tuning: {worst.name}, {direction} by {abs(gap):.3f} on average "
        f"(mean confidence minus accuracy {number(worst.gap, sign=True)}; the interval holds for all subjects at once)."
        f"{doubt}"
    )


def grader_sentence(metrics: Metrics) -> str | None:
    grader = metrics.grader
    if grader is None:
        return None
    return (
        f"A second grader checked {grader.n} of the answers and agreed on {grader.agreement:.1%}. It can speak for "
        f"{grader.covered:.0%} of the test answers. By its verdicts the Brier score goes from "
        f"{number(grader.before['brier'])} to {number(grader.after['brier'])} "
        f"(difference {number(grader.difference['brier'], sign=True)}); the uncertainty of the comparison between the "
        "graders is in these intervals."
    )


def number_of(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    return "an undefined share" if value is None else f"{value:.0%}"
