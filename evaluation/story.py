"""The first lines of the report: what happened to the confidence, and what to do next."""

from __future__ import annotations

from calibration_tuning.metrics.abstention import FEWEST, answers_needed
from calibration_tuning.metrics.bootstrap import Difference
from evaluation.schema import Metrics, Rate, ThresholdResult
from evaluation.sentences import number_of, percent
from evaluation.verdict import only_the_subject, tuning_change

Z = 1.96
"""Standard errors that a 95% interval reaches."""
FARTHEST = 100
"""A difference that needs more than this many times the test answers to become clear is not worth the wait."""


def before_and_after_sentence(metrics: Metrics) -> str:
    """What the confidences said, how often the answers were right, and the best confidence without training."""
    test, primary = metrics.headline.test, metrics.primary
    mean_before, mean_after = (percent(side["mean_confidence"].value) for side in (test.before, test.after))
    text = (
        f"Before, the model said {mean_before} on average, and {percent(test.after['accuracy'].value)} of the answers "
        f"were right; now it says {mean_after}. Brier score {number_of(test.before['brier'].value)} -> "
        f"{number_of(test.after['brier'].value)} (lower is better)."
    )
    if primary is None:
        return text
    score, verdict = number_of(primary.untuned.value), primary.difference.verdict
    worth = {"better": "is clearly worse", "worse": "is clearly better", "unclear": "is not clearly different"}
    scores = f"{worth[verdict]} ({score})" if verdict in worth else f"scores {score}"
    return f"{text} The best confidence of the untuned model, its {primary.label}, {scores}."


def next_steps(metrics: Metrics) -> list[str]:
    """Which confidence to use, where the threshold lies or how many answers one needs, and what to look at."""
    steps = [_which_confidence(metrics), *_thresholds(metrics)]
    worst = metrics.subjects.worst
    if worst is not None and worst.clear:
        side = "too sure" if (worst.gap.value or 0) > 0 else "not sure enough"
        steps.append(f"Look at {worst.name}: there the tuned confidence is {side}, by {abs(worst.gap.value or 0):.2f}.")
    return [*steps, _elsewhere(metrics)]


def _which_confidence(metrics: Metrics) -> str:
    primary, test = metrics.primary, metrics.headline.test
    if primary is None:
        return (
            "Curate more calibration answers (curation.sizes.calibration): there are too few to compare the tuned "
            "confidence with the others."
        )
    if not primary.difference.verdict:
        return "Curate more test answers (curation.sizes.test): there are too few to compare confidences on."
    other = f"the {primary.label} of the untuned model (calibrated)"
    if tuning_change(metrics).verdict == "worse":
        return "Do not use the tuned confidence on such questions: the same one without tuning is clearly better."
    if primary.difference.verdict == "better" and not only_the_subject(metrics):
        return "Use the tuned confidence: it is clearly better than the best one of the untuned model."
    if primary.difference.verdict == "worse":
        return f"Do not use the tuned confidence on such questions: {other} is clearly better."
    if only_the_subject(metrics):
        return (
            "Do not rely on the confidence yet: it says no more than how hard each subject is. Train on more questions."
        )
    more = _more(primary.difference, test.n)
    return f"Use either one: the tuned confidence and {other} are not clearly different.{more}"


def _more(difference: Difference, n: int) -> str:
    """How many test questions would make a difference of this size clear, five times out of six as `answers_needed`."""
    if not difference.value or difference.low is None or difference.high is None:
        return ""
    error = (difference.high - difference.low) / 2 / Z
    # A difference of `Z` standard errors is clear in half of the samples. One standard error more makes it five in six.
    times = ((Z + 1) * error / abs(difference.value)) ** 2
    if not 1 < times < FARTHEST:
        return ""
    return (
        f" About {rounded(n * times):,} test questions would show a difference of this size five times out of six "
        f"(now {n:,})."
    )


def _thresholds(metrics: Metrics) -> list[str]:
    """The strictest error rate that a threshold reaches, and the answers needed for a stricter rate."""
    decisions = metrics.decisions
    rates = sorted(decisions.rates, key=lambda rate: rate.error_rate)
    reached = [rate for rate in rates if rate.after.threshold is not None]
    steps = [_held(reached[0], reached[0].after)] if reached else []
    wanting = [
        rate
        for rate in rates
        if rate.after.threshold is None and (not reached or rate.error_rate < reached[0].error_rate)
    ]
    return [*steps, *(_needed(metrics, rate) for rate in wanting[-1:])]


def _held(rate: Rate, side: ThresholdResult) -> str:
    least = "" if side.calibrated is None else f", from {side.calibrated:.0%} on"
    return (
        f"To be wrong in at most {rate.error_rate:.0%} of answers, use those that are `trusted`{least}: "
        f"{side.coverage:.0%} of the test questions."
    )


def _needed(metrics: Metrics, rate: Rate) -> str:
    decisions, curve = metrics.decisions, metrics.decisions.curves["after"]
    n = metrics.headline.test.n
    begin = f"No threshold holds errors at {rate.error_rate:.0%} yet:"
    if n < FEWEST:
        return (
            f"{begin} {n} test answers are too few to say how many calibration answers are needed. Curate more of both "
            "(curation.sizes)."
        )
    needed = answers_needed(curve.coverage, curve.risk, n, rate.error_rate, decisions.confidence)
    if needed is None:
        return (
            f"{begin} even the surest test answers are wrong more often. More calibration answers will not help; a "
            "better model or a higher error rate will."
        )
    if needed <= decisions.n_groups:
        return (
            f"{begin} the most confident of the {decisions.n_calibration} calibration answers hold more errors than "
            "the test answers suggest. Curate more of them (curation.sizes.calibration)."
        )
    return (
        f"{begin} about {rounded(needed):,} independent calibration answers are needed (now "
        f"{decisions.n_groups:,}; curation.sizes.calibration), judging by the test answers."
    )


def _elsewhere(metrics: Metrics) -> str:
    shifted = metrics.headline.evaluation
    measure = "Measure the confidence on your own questions before you rely on it: `calibration-tuning score FILE`."
    if shifted is None:
        return f"{measure} Other kinds of question were not measured here."
    before, after = (number_of(side["brier"].value) for side in (shifted.before, shifted.after))
    return f"{measure} On question sets that were not trained on, the Brier score goes from {before} to {after}."


def rounded(count: float) -> int:
    """To one figure, or two below two of its unit: an estimate should not look exact."""
    digits = len(str(int(count))) - 1
    unit = 10 ** max(0, digits - (1 if int(count) // 10**digits == 1 else 0))
    return int(-(-count // unit) * unit)
