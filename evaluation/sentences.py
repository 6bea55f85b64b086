"""The numbers in words."""

from __future__ import annotations

from collections.abc import Sequence

from calibration_tuning.config.training import ADAPTED
from evaluation.schema import Metrics, RatedConfidence, ThresholdResult
from evaluation.tables import NameOf, number
from evaluation.verdict import only_the_subject, tuning_change

CHANGED = {
    "better": "Confidence improved",
    "worse": "Confidence became worse",
    "unclear": "Confidence did not clearly change",
    "": "Confidence was measured",
}
WORTH = {"better": "a clear gain", "worse": "a clear loss", "unclear": "no clear gain", "": "not judged"}
NO_GAIN = "no gain beyond what the accuracy of the subject gives without tuning"
UNTRAINED = (
    'No model was trained (training.method: none). "Tuned" and "after" mean the checkpoint\'s readout and calibrator, '
    "which were fitted on the untuned model."
)
AGAINST = {
    "better": "clearly better than",
    "worse": "clearly worse than",
    "unclear": "not clearly different from",
    "": "not compared with",
}


def verdict_sentence(metrics: Metrics) -> str:
    """The verdict, by the Brier score (a proper score), calibrated against calibrated. P-values are corrected, except
    for that of the primary comparison."""
    return f"{_headline(metrics)} on {metrics.headline.test.n} held-out questions."


def scores_sentence(metrics: Metrics) -> str:
    """The numbers behind the verdict."""
    test = metrics.headline.test
    untuned, after, subject, rate = (
        side["brier"].value for side in (test.before_calibrated, test.after, test.subject_accuracy, test.base_rate)
    )
    over = test.over_subject_accuracy["brier"]
    return (
        f"Brier score of the confidence, calibrated the same way ({metrics.calibrator.kind}) before and after tuning: "
        f"{number_of(untuned)} -> {number_of(after)}{_relative(untuned, after)}, difference "
        f"{number(test.tuning['brier'], sign=True)}. Predicting the accuracy of the answer's subject scores "
        f"{number_of(subject)}; the tuned confidence is {AGAINST[over.verdict]} that (difference "
        f"{number(over, sign=True)}). Predicting the base rate scores {number_of(rate)}. "
        f"{calibrators_sentence(metrics)}"
    )


def calibrators_sentence(metrics: Metrics) -> str:
    """By which calibrators the tuned confidence is compared with others than itself untuned."""
    if metrics.calibrator.kind != "temperature":
        return "All other confidences have the same kind of calibrator."
    return "All other confidences have Platt scaling, because a temperature cannot shift a confidence up or down."


def readout_sentence(metrics: Metrics) -> str:
    """What the tuned confidence is made of, and that nothing was tuned where that is so."""
    return f"{UNTRAINED} {_parts(metrics)}" if metrics.method == "none" else _parts(metrics)


def _parts(metrics: Metrics) -> str:
    readout = metrics.readout
    if readout is None:
        return "The tuned confidence is the answer to the uncertainty query after tuning, calibrated."
    if not readout.n_probe:
        return (
            "The tuned confidence is the stacked readout after tuning. It blends the uncertainty query with the "
            "likelihood of the answer. There were too few training answers to read hidden states."
        )
    layers = ", ".join(map(str, readout.layers))
    return (
        "The tuned confidence is the stacked readout after tuning. It blends three things: the uncertainty query, the "
        "likelihood of the answer, and a probe on the hidden states of its tokens "
        f"(layers {layers}). The last two are of the untuned model. Below a familiarity of {readout.trust.familiar:g} "
        f"the weight of the probe falls, to {readout.trust.weight:g} for answers unlike all those of training."
    )


def left_out_sentence(metrics: Metrics) -> str:
    """What leaving whole sources out says about questions of other kinds."""
    readout = metrics.readout
    if readout is None or not readout.left_out:
        return ""
    brier = {source: scores.confidences["readout"].brier for source, scores in readout.left_out.items()}
    worst = max(brier, key=lambda source: brier[source])
    return (
        "Each source was also judged by a readout fitted on the other sources alone, without the query"
        f"{'' if metrics.method == 'none' else ', which was tuned on all of them'}. "
        f"The worst is {worst}: Brier score {brier[worst]:.3f} "
        f"at an accuracy of {readout.left_out[worst].accuracy:.0%}."
    )


def as_loaded_sentence(metrics: Metrics) -> str:
    """What the demonstrations of a loaded checkpoint do to the confidence."""
    if metrics.as_loaded is None:
        return ""
    test = metrics.as_loaded["test"]
    return (
        "For these confidences, demonstrations of the answer's subject or source stood before each question. A loaded "
        "checkpoint puts the same few demonstrations before every question (examples of yours can replace them). With "
        "these, the same answers have a Brier score of "
        f"{number(test.confidence['brier'])} (difference {number(test.difference['brier'], sign=True)}) and an ECE of "
        f"{number(test.confidence['ece'])}."
    )


def primary_sentence(metrics: Metrics) -> str:
    """The comparison that is named in advance, with its uncorrected p-value."""
    primary = metrics.primary
    if primary is None:
        return "The primary comparison was not made: there are too few groups of calibration answers to choose on."
    p = primary.difference.p
    tested = "" if p is None else f", p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    return (
        "Primary comparison, named in advance and tested by itself at 5%: Brier score of the tuned confidence against "
        f"the best confidence of the untuned model, which is the {primary.label} (chosen of {primary.candidates} on "
        f"the calibration split), both calibrated. It is {number_of(primary.tuned.value)} against "
        f"{number_of(primary.untuned.value)}: the tuned confidence is {AGAINST[primary.difference.verdict]} it "
        f"(difference {number(primary.difference, sign=True)}{tested})."
        + _left_out_of_the_choice(metrics, [name for name in metrics.posthoc.incomplete if name.endswith("/before")])
    )


def _left_out_of_the_choice(metrics: Metrics, names: Sequence[str]) -> str:
    if not names:
        return ""
    name_of, lacking = NameOf(metrics), metrics.posthoc.incomplete
    listed = "; ".join(f"{name_of(name)} ({lacking[name]})" for name in names)
    return f" Left out of the choice, because some answers have no such confidence (how many): {listed}."


def within_sentence(metrics: Metrics) -> str:
    """What the confidence tells apart within subjects, where the subject's accuracy tells nothing."""
    test = metrics.headline.test
    if test.after["auroc_within_subjects"].value is None:
        return "AUROC within subjects is undefined: no subject has both a right and a wrong answer."
    return (
        "Of a right and a wrong answer in the same subject, the right one has the higher confidence in "
        f"{number(test.after['auroc_within_subjects'])} of pairs after tuning and "
        f"{number(test.before['auroc_within_subjects'])} before (AUROC within subjects; the accuracy of the subject "
        f"scores 0.5). Over all answers the AUROC is {number(test.after['auroc'])}, that of the accuracy of the "
        f"subject {number(test.subject_accuracy['auroc'])}."
    )


def credit_sentence(metrics: Metrics) -> str:
    """How much of the gain is due to tuning, and not to any calibrator. No gain is claimed that knowing the subject
    gives as well."""
    if metrics.method == "none":
        return ""
    change = tuning_change(metrics)
    worth = NO_GAIN if only_the_subject(metrics) and change.verdict != "worse" else WORTH[change.verdict]
    return (
        "Tuning alone, compared with the same readout of the untuned model and the same kind of calibrator, changes "
        f"the Brier score by {number(change, sign=True)}: {worth}."
    )


def intervals_sentence(metrics: Metrics) -> str:
    """Why an interval may exclude 0 beside "unclear"; stands beneath every table that has both."""
    return (
        "Each interval is a 95% interval by itself. Verdicts and p-values are corrected (Holm) for all "
        f"{metrics.comparisons['test']} comparisons of these tables, except for the primary comparison. So an interval "
        'that excludes 0 can stand beside "unclear".'
    )


def text_sentence(metrics: Metrics) -> str:
    """Which text the tokens are of, and what chance alone would make of Full-ECE there."""
    text = metrics.text
    if text is None:
        return "Running text was not read (evaluation.text), so these Full-ECEs are of answer tokens alone."
    chance = text.tokens.after["full_ece"].if_calibrated
    perfect = "" if chance is None else f"; calibrated token probabilities would score {number(chance)} there"
    return (
        f"Running text: {text.tokens.n} tokens of {text.documents} documents of {text.path}, Full-ECE "
        f"{number(text.tokens.before['full_ece'])} before and {number(text.tokens.after['full_ece'])} after tuning "
        f"(difference {number(text.tokens.difference['full_ece'], sign=True)}){perfect}."
    )


MARKS = {
    "slope_at_bound": "\u2020 On the calibration split this confidence ranked right answers no higher than wrong ones. "
    "Calibrators keep their slope above 0, because a negative slope would reverse the ranking. So the calibrated "
    "confidence is next to the base rate.",
    "needs_bias": "\u2021 The temperature is at its upper bound, so the calibrated confidence is next to 0.5. On the "
    "calibration split a higher confidence did mean more right answers, but a temperature alone cannot shift a "
    "confidence up or down. Platt scaling can (training.calibrator: platt).",
}
"""By the field of `RatedConfidence` that puts the mark beside a calibrated number."""


def mark(side: RatedConfidence) -> str:
    """The marks of a confidence, each after a space."""
    return "".join(f" {MARKS[name][0]}" for name in MARKS if getattr(side, name))


def marks_sentence(metrics: Metrics) -> str:
    """What the marks in the tables of confidences mean; empty where there are none."""
    rows = [row for table in metrics.estimators.values() for row in table.values()]
    shown = "".join(mark(side) for row in rows for side in row.states.values())
    return " ".join(sentence for sentence in MARKS.values() if sentence[0] in shown)


def unrated_sentence(metrics: Metrics) -> str:
    """A sentence with the confidences that have no row in these tables."""
    names = "; ".join(f"{name} ({n})" for name, n in (metrics.unrated or {}).items())
    return f"Not rated, because fewer than 20 test answers have such a confidence (how many): {names}." if names else ""


def _headline(metrics: Metrics) -> str:
    if only_the_subject(metrics):
        return "No gain was shown beyond knowing each subject's accuracy,"
    if metrics.method == "none":
        return f"{CHANGED[metrics.headline.test.difference['brier'].verdict]} without training"
    tuning = tuning_change(metrics).verdict
    if metrics.headline.test.difference["brier"].verdict == "better" and tuning != "better":
        clearly = "" if tuning == "worse" else "clearly "
        return f"Confidence improved, but not {clearly}by training the adapter,"
    return CHANGED[tuning]


def _relative(before: float | None, after: float | None) -> str:
    if before is None or after is None or before < 0.0005:  # shown as 0.000, of which there is no share
        return ""
    return f" ({after / before - 1:+.0%})"


def rivals_sentence(metrics: Metrics) -> str:
    """A sentence about the best other confidence, better or worse than the tuned one. The test split plays no part in
    its choice."""
    name, _, state = (metrics.posthoc.best_other or "").partition("/")
    tuned = NameOf(metrics).tuned.partition("/")[0]
    rivals = [side for side in metrics.posthoc.incomplete if side.partition("/")[0] not in (tuned, "probe")]
    left_out = _left_out_of_the_choice(metrics, rivals)
    row = metrics.estimators["test"].get(name)
    rated = row and row.states.get(state)  # type: ignore[call-overload]
    if row is None or not rated or rated.against_query is None:
        return f"No other confidence was measured on all of enough questions.{left_out}"
    change = rated.against_query["brier"]
    return (
        f"Apart from a probe and the same readout untuned, the best other confidence is the {row.label} of the model "
        f"{state} tuning (chosen on the calibration split). "
        f"Calibrated, it scores {number_of(rated.calibrated['brier'].value)}: {AGAINST[change.verdict]} "
        f"the tuned confidence (difference {number(change, sign=True)}).{left_out}"
    )


def sparse_bins_sentence(metrics: Metrics) -> str | None:
    """That few answers are in some bins of the ECE after tuning; None where all hold enough."""
    warning = metrics.headline.test.after["ece"].warning
    return f"ECE after tuning: {warning}." if warning else None


def answers_sentence(metrics: Metrics, answered_by: str | None) -> str:
    """Whose answers were judged, and whether tuning changes the model's own answers. `answered_by` comes from
    `answers_of_others`."""
    again = metrics.answers
    whose = f"The answers judged here are {answered_by}, which tuning cannot change. " if answered_by else ""
    if metrics.method not in ADAPTED:
        return f"{whose}The model itself is not changed, so its answers are the same before and after."
    if again is None:
        return f"{whose}Answers with the adapter on were not asked for (evaluation.adapter_on_answers: 0)."
    whose = whose or "Answers are generated with the adapter off, so tuning cannot change them. "
    return (
        f"{whose}With the adapter on, {percent(again.changed.value)} of {again.n} answers of the model itself would "
        f"change, and their accuracy would go from "
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
            f"Tuned confidence: {_reached(rate.after)}"
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
        f"A second grader checked {grader.n} of the answers and agreed on {grader.agreement:.1%}. It checked the "
        f"graders of {grader.covered:.0%} of the test answers. By its verdicts the Brier score goes from "
        f"{number(grader.before['brier'])} to {number(grader.after['brier'])} "
        f"(difference {number(grader.difference['brier'], sign=True)}); the uncertainty of the comparison between the "
        "graders is in these intervals."
    )


def number_of(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    return "an undefined share" if value is None else f"{value:.0%}"
