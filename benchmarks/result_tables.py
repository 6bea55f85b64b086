"""python -m benchmarks result_tables RUN [RUN ...]: the tables of docs/results.md, out of evaluated runs.

Of one run: every calibrated confidence on the test split and on sets never trained on, the same by source, and each
source left out. Of several runs (seeds of one recipe): the main confidences side by side, with their mean.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from calibration_tuning.metrics.bootstrap import Interval
from evaluation.schema import Comparison, Metrics, read_metrics
from evaluation.tables import number

SHOWN = ("brier", "auroc", "auroc_within_subjects", "ece")
TITLES = {"test": "Held-out questions", "evaluation": "Sets never trained on"}
OURS = "**the checkpoint's readout**"
BY_SOURCE = {
    "likelihoods, blended": ("likelihood_blend", "before"),
    "tuned query": ("query", "after"),
    "readout, untuned": ("stacked", "before"),
}


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    runs = [read_metrics(Path(run) / "evaluation/metrics.json") for run in arguments]
    if len(runs) == 1:
        parts = [*(confidences(runs[0], split) for split in splits(runs[0])), by_source(runs[0]), left_out(runs[0])]
    else:
        parts = [side_by_side(runs, split) for split in splits(runs[0])]
    print("\n\n".join(parts))
    return 0


def splits(metrics: Metrics) -> list[str]:
    return [split for split in TITLES if getattr(metrics.headline, split) is not None]


def compared(metrics: Metrics, split: str) -> Comparison:
    comparison: Comparison = getattr(metrics.headline, split)
    return comparison


def confidences(metrics: Metrics, split: str) -> str:
    """Every calibrated confidence; ours in bold, and as a loaded checkpoint gives it."""
    side = compared(metrics, split)
    rows = [row("base rate", side.base_rate)]
    if split == "test":
        rows.append(row("accuracy of the subject", side.subject_accuracy))
    for name, entry in metrics.estimators[split].items():
        for state, rated in entry.states.items():
            if rated.calibrated is not None and (name, state) != ("stacked", "after"):
                rows.append(row(f"{entry.label}, {'untuned' if state == 'before' else 'tuned'}", rated.calibrated))
    rows.append(row(OURS, side.after))
    if metrics.as_loaded and split in metrics.as_loaded:
        rows.append(row("the checkpoint's, as loaded", metrics.as_loaded[split].confidence))
    accuracy = side.after["accuracy"].value or 0.0
    head = f"{TITLES[split]}, n = {side.n:,} in {side.groups:,} groups, {accuracy:.0%} correct, seed {metrics.seed}:"
    tuning = f"What tuning adds to the same readout (Brier): {number(side.tuning['brier'], sign=True)}"
    return f"{head}\n\n{table(['confidence', 'Brier', 'AUROC', 'AUROC within subjects', 'ECE'], rows)}\n\n{tuning}"


def row(label: str, scores: dict[str, Interval]) -> list[str]:
    return [label, *(number(scores[name]) if name in scores else "" for name in SHOWN)]


def by_source(metrics: Metrics) -> str:
    """Brier / AUROC by source; the Brier score of ours with its interval."""
    rows = []
    for name, source in metrics.sources.items():
        if source.after is None or source.estimators is None:
            rows.append([name, str(source.n), f"{source.accuracy:.0%}", *[""] * (len(BY_SOURCE) + 3)])
            continue
        base = metrics.base_rate**2 * (1 - source.accuracy) + (1 - metrics.base_rate) ** 2 * source.accuracy
        estimator_cells = [pair(source.estimators.get("/".join(side))) for side in BY_SOURCE.values()]
        ours = f"{number(source.after['brier'])} / {number(source.after['auroc']).partition(' ')[0]}"
        cells = [f"{base:.3f}", *estimator_cells, ours, number(source.after["ece"])]
        rows.append([name, str(source.n), f"{source.accuracy:.0%}", *cells])
    return table(["source", "n", "correct", "base rate", *BY_SOURCE, OURS.strip("*"), "its ECE"], rows)


def pair(scores: dict[str, Interval] | None) -> str:
    if scores is None:
        return ""
    return " / ".join("–" if scores[name].value is None else f"{scores[name].value:.3f}" for name in ("brier", "auroc"))


def left_out(metrics: Metrics) -> str:
    """Each source judged by what was fitted on the others: Brier / AUROC / ECE."""
    if metrics.readout is None or not metrics.readout.left_out:
        return "(no source was left out)"
    rows = []
    for source, scores in metrics.readout.left_out.items():
        confidences = scores.confidences
        parts = [
            " / ".join("–" if value is None else f"{value:.3f}" for value in (rated.brier, rated.auroc, rated.ece))
            for rated in (confidences["likelihoods"], confidences["likelihoods and states"], confidences["readout"])
        ]
        known = [source, str(scores.n), f"{scores.accuracy:.0%}", f"{scores.familiar:.2f}"]
        rows.append([*known, f"{confidences['base rate'].brier:.3f}", *parts])
    trust = metrics.readout.trust
    head = ["left-out source", "n", "accuracy", "familiar", "base rate of the others"]
    note = f"States are trusted in full from a familiarity of {trust.familiar} on, unfamiliar ones by {trust.weight}."
    return f"{table([*head, 'likelihoods', 'likelihoods and states', 'readout'], rows)}\n\n{note}"


def side_by_side(runs: Sequence[Metrics], split: str) -> str:
    """The main confidences of several runs, and the mean of each over the runs."""
    sides = [compared(metrics, split) for metrics in runs]
    rated = [metrics.estimators[split] for metrics in runs]
    loaded = [(metrics.as_loaded or {}).get(split) for metrics in runs]
    rows = [
        across("answers correct", [side.after["accuracy"] for side in sides]),
        across("base rate", [side.base_rate["brier"] for side in sides]),
        across("accuracy of the subject", [side.subject_accuracy["brier"] for side in sides]),
    ]
    for label, name, state in (
        ("tuned query", "query", "after"),
        ("sequence likelihood, untuned", "sequence_likelihood", "before"),
        ("sequence likelihood, tuned", "sequence_likelihood", "after"),
        ("likelihoods, blended", "likelihood_blend", "before"),
        ("readout, untuned", "stacked", "before"),
    ):
        calibrated = [
            estimators[name].states[state].calibrated  # type: ignore[index]
            for estimators in rated
            if name in estimators and state in estimators[name].states
        ]
        if len(calibrated) == len(runs):
            rows.append(across(label, [scores["brier"] for scores in calibrated if scores is not None]))
    labels = (OURS, "its AUROC", "its AUROC within subjects", "its ECE")
    for label, name in zip(labels, SHOWN, strict=True):
        rows.append(across(label, [side.after[name] for side in sides]))
    rows.append(across("what tuning adds", [side.tuning["brier"] for side in sides], sign=True))
    if all(loaded):
        briers = [scores.confidence["brier"] for scores in loaded if scores is not None]
        rows.append(across("the checkpoint's, as loaded", briers))
    counts = ", ".join(f"{side.n:,}" for side in sides)
    title = f"{TITLES[split]}, n = {counts} (Brier scores, unless a row says otherwise):"
    return f"{title}\n\n{table(['', *(f'{m.name}, seed {m.seed}' for m in runs), 'mean'], rows)}"


def across(label: str, intervals: Sequence[Interval], sign: bool = False) -> list[str]:
    values = [interval.value for interval in intervals if interval.value is not None]
    form = "{:+.3f}" if sign else "{:.3f}"
    mean = form.format(sum(values) / len(values)) if len(values) == len(intervals) else ""
    return [label, *(number(interval, sign=sign) for interval in intervals), mean]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
