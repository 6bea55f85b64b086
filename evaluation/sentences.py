"""The numbers in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.tables import number

SAID = {"better": "became better", "worse": "became worse", "unclear": "did not clearly change", "": "changed"}
OVER = {"better": "clearly below", "worse": "clearly above", "unclear": "not clearly other than", "": "beside"}
WORTH = {"better": "clearly its own", "worse": "clearly against it", "unclear": "within noise", "": "not judged"}
AGAINST = {
    "better": "clearly better than",
    "worse": "clearly worse than",
    "unclear": "not clearly different from",
    "": "not judged against",
}


def verdict_sentence(metrics: Mapping[str, Any]) -> str:
    """The verdict, by the Brier score (a proper score) and corrected p-values; with what is tuning's in it."""
    test = metrics["headline"]["test"]
    before, untuned, after, rate = (
        test[side]["brier"]["value"] for side in ("before", "before_calibrated", "after", "base_rate")
    )
    change, over = test["difference"]["brier"], OVER[test["over_base_rate"]["brier"]["verdict"]]
    percent = f"{(after - before) / before:+.0%}" if before else "from 0"
    return (
        f"On {test['n']} held-out questions the confidences {SAID[change['verdict']]}: Brier score {before:.3f} as the "
        f"model came, {untuned:.3f} with a {metrics['calibrator']['kind']} calibrator alone, {after:.3f} tuned and "
        f"calibrated ({percent}; difference {number(change, sign=True)}), {over} the {rate:.3f} of "
        "always saying the base rate."
    )


def credit_sentence(metrics: Mapping[str, Any]) -> str:
    """How much of the gain is tuning's, and not any calibrator's."""
    change = metrics["headline"]["test"]["tuning"]["brier"]
    return (
        f"Tuning itself, against the untuned query with the same kind of calibrator, is worth "
        f"{number(change, sign=True)}, {WORTH[change['verdict']]}."
    )


def rivals_sentence(metrics: Mapping[str, Any]) -> str:
    """The best other confidence, whichever side of the tuned query it is on; chosen without the test split."""
    side, table = metrics["posthoc"]["best_other"], metrics["estimators"]["test"]
    name, _, state = (side or "").partition("/")
    if name not in table:
        return "No other confidence was measured on all of enough questions."
    entry = table[name]
    rated = entry["states"][state]
    change = rated["against_query"]["brier"]
    return (
        f"The other confidence that did best on the calibration split, the {entry['label']} of the model {state} "
        f"tuning, scores {rated['calibrated']['brier']['value']:.3f} calibrated likewise, "
        f"{AGAINST[change['verdict']]} the tuned query (difference {number(change, sign=True)})."
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
    threshold = f"{side['threshold']:.2f} uncalibrated"
    if side["calibrated"] is not None:
        threshold = f"{side['calibrated']:.2f} ({threshold})"
    if side["error"] is None:
        return f"no test answer reaches the threshold that the calibration split vouches for, {threshold}."
    return (
        f"{side['coverage']:.0%} of test questions are answered from the threshold on that the calibration split "
        f"vouches for, {threshold}, and {side['error']:.1%} of these wrongly "
        f"[{side['error_low']:.1%}, {side['error_high']:.1%}]."
    )


def worst_subject_sentence(metrics: Mapping[str, Any]) -> str:
    worst = metrics["subjects"]["worst"]
    if worst is None:
        return "No subject has ten independent test questions, so none is rated."
    gap = worst["gap"]["value"]
    direction = "too sure" if gap > 0 else "not sure enough"
    doubt = "" if worst["clear"] else "; so large a gap may be chance"
    return (
        f"Worst of {worst['rated']} subjects after tuning: {worst['name']}, {direction} by {abs(gap):.3f} on average "
        f"(mean confidence minus accuracy {number(worst['gap'], sign=True)}, an interval for all at once){doubt}."
    )


def grader_sentence(metrics: Mapping[str, Any]) -> str | None:
    grader = metrics["grader"]
    if grader is None:
        return None
    return (
        f"A second grader looked at {grader['n']} of the answers and agreed on {grader['agreement']:.1%}; it speaks "
        f"for {grader['covered']:.0%} of the test answers. By its verdicts, with the uncertainty of that comparison in "
        f"the intervals, the Brier score goes from {number(grader['before']['brier'])} to "
        f"{number(grader['after']['brier'])} (difference {number(grader['difference']['brier'], sign=True)})."
    )
