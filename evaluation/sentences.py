"""The numbers in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.tables import number

SAID = {"better": "became better", "worse": "became worse", "unclear": "did not clearly change"}


def verdict_sentence(metrics: Mapping[str, Any]) -> str:
    """The verdict, by the Brier score (a proper score) and its corrected p-value."""
    test = metrics["headline"]["test"]
    change, before, after = (
        test["difference"]["brier"],
        test["before"]["brier"]["value"],
        test["after"]["brier"]["value"],
    )
    percent = f"{(after - before) / before:+.0%}" if before else "from 0"
    rate = test["base_rate"]["brier"]["value"]
    against = "below" if after < rate else "not below"
    return (
        f"On {test['n']} held-out questions the confidences {SAID[change['verdict']]}: Brier score {before:.3f} "
        f"before, {after:.3f} after tuning ({percent}; difference {number(change, sign=True)}), {against} the "
        f"{rate:.3f} of always saying the base rate."
    )


def credit_sentence(metrics: Mapping[str, Any]) -> str:
    """How much of the gain is tuning's, and how much any calibrator's."""
    test = metrics["headline"]["test"]
    change = test["difference_calibrated"]["brier"]
    return (
        f"With the same kind of calibrator ({metrics['calibrator']['kind']}) and no tuning the query scores "
        f"{test['before_calibrated']['brier']['value']:.3f}; tuning itself is worth {number(change, sign=True)}."
    )


def rivals_sentence(metrics: Mapping[str, Any]) -> str:
    """The other confidence with the lowest calibrated Brier score, whichever side of the query it is on."""
    found = [
        (side["calibrated"]["brier"]["value"], entry["label"], state, side["against_query"]["brier"])
        for entry in metrics["estimators"]["test"].values()
        for state, side in entry["states"].items()
        if "against_query" in side and side["n"] == metrics["headline"]["test"]["n"]
    ]
    if not found:
        return "No other confidence was measured on all questions."
    value, label, state, change = min(found)
    which = {"better": "clearly better than", "worse": "clearly worse than", "unclear": "not clearly different from"}
    return (
        f"The best other confidence is the {label} of the model {state} tuning, calibrated likewise: {value:.3f}, "
        f"{which[change['verdict']]} the tuned query (difference {number(change, sign=True)}, Holm-corrected over all "
        "confidences)."
    )


def answers_sentence(metrics: Mapping[str, Any]) -> str:
    again = metrics["answers"]
    if again is None:
        return "Answers with the adapter on were not asked for (evaluation.adapter_on_answers: 0)."
    return (
        f"Answers are generated with the adapter off, so tuning cannot change them. Left on, it would change "
        f"{again['changed']['value']:.0%} of {again['n']} answers and move their accuracy from "
        f"{again['accuracy_adapter_off']['value']:.3f} to {again['accuracy_adapter_on']['value']:.3f} "
        f"(difference {number(again['accuracy_difference'], sign=True)})."
    )


def abstention_sentences(metrics: Mapping[str, Any]) -> list[str]:
    """First what no confidence could avoid, then what this one reaches, for every wanted error rate."""
    decisions = metrics["decisions"]
    found = []
    for entry in decisions["rates"]:
        text = (
            f"At most {entry['error_rate']:.0%} wrong: with {decisions['accuracy']:.1%} of answers correct, at least "
            f"{entry['unavoidable_abstention']:.0%} of questions must go unanswered, however good the confidence. "
            f"By the tuned query, {_reached(entry['after'])}"
        )
        if decisions["best_other"]:
            text += f" By the {decisions['best_other']} tuning, {_reached(entry['best_other'])}"
        found.append(text)
    return found


def _reached(side: Mapping[str, Any]) -> str:
    if side["threshold"] is None:
        return "the calibration split vouches for no threshold."
    if side["error"] is None:
        return (
            f"no test answer reaches the threshold of {side['threshold']:.2f} that the calibration split vouches for."
        )
    return (
        f"{side['coverage']:.0%} of test questions are answered above the threshold that the calibration split "
        f"vouches for, {side['threshold']:.2f}, and {side['error']:.1%} of these wrongly "
        f"[{side['error_low']:.1%}, {side['error_high']:.1%}]."
    )


def worst_subject_sentence(metrics: Mapping[str, Any]) -> str:
    worst = metrics["subjects"]["worst"]
    if worst is None:
        return "No subject has ten test questions, so none is rated."
    gap = worst["gap"]["value"]
    direction = "too sure" if gap > 0 else "not sure enough"
    doubt = "" if worst["clear"] else " (its interval holds 0)"
    return (
        f"Worst after tuning: {worst['name']}, {direction} by {abs(gap):.3f} on average "
        f"(mean confidence minus accuracy {number(worst['gap'], sign=True)}){doubt}."
    )


def grader_sentence(metrics: Mapping[str, Any]) -> str | None:
    grader = metrics["grader"]
    if grader is None:
        return None
    return (
        f"A second grader looked at {grader['n']} of the answers and agreed on {grader['agreement']:.1%}. By its "
        f"verdicts, with that table's uncertainty in the intervals, the Brier score goes from "
        f"{number(grader['before']['brier'])} to {number(grader['after']['brier'])} "
        f"(difference {number(grader['difference']['brier'], sign=True)})."
    )
