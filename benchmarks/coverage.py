"""How often do 95% intervals contain the truth, by metric, number of answers and groups? python -m benchmarks coverage

Draws answers from models whose true metrics are known. A confidence knows the chance of being correct but for noise; a
second one has the same noise (no difference: how often is p below 0.05?), a third one more (a difference that the
interval must contain). Answers of one group share a part of their difficulty and of their luck. Intervals and p-values
are those of reports (`metrics.comparison`); only the resampled values are computed here, all at once, because 1,000
resamples of thousands of data sets would take hours otherwise. Calibration errors have a benchmark of their own,
`interval_coverage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
import typer
from scipy.special import expit, ndtr

from calibration_tuning.metrics.bootstrap import FEWEST
from calibration_tuning.metrics.calibration_error import bin_index
from calibration_tuning.metrics.comparison import SIGNIFICANT, Resampled, compared, interval
from calibration_tuning.metrics.confidence import METRICS, point_metrics, units_of_rarer_class
from calibration_tuning.metrics.scoring_rules import EPSILON
from calibration_tuning.runs.progress import progress

Array = np.ndarray
Generator = np.random.Generator
BINS, RESAMPLES, MANY = 10, 1000, 400_000
SHOWN = ("brier", "nll", "auroc", "aurc", "prr", "accuracy", "brier_resolution")
NOISE, MORE_NOISE = 0.6, 1.2
"""Of a confidence, in log-odds: of the first two, and of the third."""
FEW = 20
"""A cell is left empty if fewer than 1 in this many data sets have an interval."""
SHARED_LUCK = 0.3
"""Latent correlation of two answers of one group, given how difficult they are."""


def singles(generator: Generator, n: int) -> Array:
    return np.arange(n)


def groups_of_five(generator: Generator, n: int) -> Array:
    """Labels [n] of groups of three to seven."""
    return np.repeat(np.arange(n), generator.integers(3, 8, n))[:n]


def eleven_groups(generator: Generator, n: int) -> Array:
    """Labels [n] of 10 to 12 groups of about equal size."""
    return np.sort(np.arange(n) % generator.integers(10, 13))


DESIGNS: dict[str, tuple[Callable[[Generator, int], Array], float, float]] = {
    "single answers": (singles, -0.5, 1.0),
    "groups of 3 to 7": (groups_of_five, -0.5, 1.0),
    "10 to 12 groups": (eleven_groups, -0.5, 1.0),
    "single answers, AUROC near 1": (singles, -0.5, 10.0),
    "single answers, one in twenty wrong": (singles, 4.5, 2.0),
}
"""How answers are grouped, and the middle and the spread of their difficulty in log-odds."""


def main(
    repeats: Annotated[int, typer.Option(help="Data sets drawn for each row.")] = 300,
    sizes: Annotated[list[int] | None, typer.Option("--n", help="Answers in a data set.")] = None,
) -> None:
    counts = sizes or [60, 100, 200, 500]
    tables: dict[str, list[str]] = {"Intervals": [], "Intervals of paired differences": [], "p below 0.05": []}
    with progress(len(DESIGNS) * len(counts) * repeats, "covering", "data sets") as bar:
        for design in DESIGNS:
            truth = true_values(design)
            for n in counts:
                shares, known = np.zeros((3, len(SHOWN))), np.zeros((3, len(SHOWN)))
                for seed in range(repeats):
                    outcome = outcomes(design, n, seed, truth)
                    shares, known = shares + np.nan_to_num(outcome), known + ~np.isnan(outcome)
                    bar.update(1)
                for rows, share, count in zip(tables.values(), shares, known, strict=True):
                    cells = (f"{x / k:.2f}" if k >= repeats / FEW else "" for x, k in zip(share, count, strict=True))
                    rows.append(f"| {design} | {n} | " + " | ".join(cells) + " |")
    head = ["answers", "n", *(METRICS[name].label for name in SHOWN)]
    for title, rows in tables.items():
        print(f"\n{title}:\n\n| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}", *rows, sep="\n")


def outcomes(design: str, n: int, seed: int, truth: Mapping[str, tuple[float, float]]) -> Array:
    """[3, metrics], 0 or 1 each: is the metric's truth in its interval, that of the difference in the difference's, and
    is p below 0.05 where there is no difference? NaN where there is no interval, as the rarer class has too few."""
    generator = np.random.default_rng(seed)
    groups = DESIGNS[design][0](generator, n)
    chance = difficulty(generator, groups, *DESIGNS[design][1:])
    correct = (luck(generator, groups) < chance).astype(np.float64)
    if not 0 < correct.mean() < 1:  # no AUROC: nothing to cover
        correct[0] = 1 - correct[0]
    size = int(groups.max()) + 1
    counts = generator.multinomial(size, np.full(size, 1 / size), RESAMPLES)[:, groups].astype(np.float64)
    first, same, worse = (
        resampled(noisy(generator, chance, noise), correct, counts, groups) for noise in (NOISE, NOISE, MORE_NOISE)
    )
    rows = np.zeros((3, len(SHOWN)))
    for column, name in enumerate(SHOWN):
        quantity = METRICS[name]
        number = interval(quantity, first[name])
        change, none = compared(quantity, first[name], worse[name]), compared(quantity, first[name], same[name])
        of_first, of_worse = truth[name]
        for row, entry, value in ((0, number, of_first), (1, change, of_worse - of_first)):
            if entry.low is None or entry.high is None:
                rows[:, column] = np.nan
            else:
                rows[row, column] = entry.low - 1e-12 <= value <= entry.high + 1e-12
        if none.p is not None:
            rows[2, column] = none.p < SIGNIFICANT
    return rows


def difficulty(generator: Generator, groups: Array, middle: float, spread: float) -> Array:
    """Chances [n] that answers are correct; answers of one group share half of the variance."""
    shared = generator.normal(size=int(groups.max()) + 1)[groups]
    log_odds = middle + spread * np.sqrt(0.5) * (shared + generator.normal(size=len(groups)))
    return np.clip(expit(log_odds), EPSILON, 1 - EPSILON)


def luck(generator: Generator, groups: Array) -> Array:
    """Uniform numbers [n] that decide which answers are correct, correlated within groups."""
    shared = generator.normal(size=int(groups.max()) + 1)[groups]
    return np.asarray(
        ndtr(np.sqrt(SHARED_LUCK) * shared + np.sqrt(1 - SHARED_LUCK) * generator.normal(size=len(groups)))
    )


def noisy(generator: Generator, chance: Array, noise: float) -> Array:
    return np.asarray(expit(np.log(chance) - np.log1p(-chance) + generator.normal(0, noise, len(chance))))


def true_values(design: str) -> dict[str, tuple[float, float]]:
    """Of each metric, for the first confidence and the third: what 400,000 answers score whose correctness is the
    chance itself, a fraction. Resolution and PRR are put together: their parts are of what is 0 or 1."""
    generator = np.random.default_rng(0)
    chance = difficulty(generator, np.arange(MANY), *DESIGNS[design][1:])
    return {
        name: (first, worse)
        for name, first, worse in zip(
            SHOWN, *(_expected(noisy(generator, chance, noise), chance) for noise in (NOISE, MORE_NOISE)), strict=True
        )
    }


def _expected(confidence: Array, chance: Array) -> list[float]:
    values = {
        name: value or 0.0
        for name, value in point_metrics(confidence, chance, BINS, (*SHOWN, "brier_reliability")).items()
    }
    mean = float(chance.mean())
    values["prr"] = (1 - mean - values["aurc"]) / -(mean * np.log(mean))  # the best AURC is 1 - mean + mean log(mean)
    values["brier"] += float((chance * (1 - chance)).mean())
    values["brier_resolution"] = values["brier_reliability"] + mean * (1 - mean) - values["brier"]
    return [values[name] for name in SHOWN]


def resampled(confidence: Array, correct: Array, counts: Array, groups: Array) -> dict[str, Resampled]:
    """The metrics in `SHOWN` with their values on resamples that hold answer i `counts[:, i]` times ([R, n]).

    Equal confidences are not expected, and correctness is 0 or 1."""
    values = point_metrics(confidence, correct, BINS, SHOWN)
    units, of_pairs = int(groups.max()) + 1, units_of_rarer_class(correct, groups)
    known = {name: of_pairs if METRICS[name].of_pairs else units for name in SHOWN}
    order = np.argsort(confidence)
    draws = weighted_metrics(confidence[order], correct[order], counts[:, order])
    return {
        name: Resampled(values[name], draws[name] if known[name] >= FEWEST else (), units=known[name]) for name in SHOWN
    }


def weighted_metrics(p: Array, y: Array, counts: Array) -> dict[str, Array]:
    """[R] each, for rising confidences [n]; NaN where AUROC or PRR is undefined."""
    total = counts.sum(1)
    clipped = np.clip(p, EPSILON, 1 - EPSILON)
    losses = np.stack([(p - y) ** 2, -np.log(np.where(y == 1, clipped, 1 - clipped)), y], 1)
    brier, nll, accuracy = (counts @ losses / total[:, None]).T
    in_bin = np.eye(BINS)[bin_index(p, BINS)]
    sizes, gaps = counts @ in_bin, counts @ (in_bin * (p - y)[:, None])
    reliability = (gaps**2 / np.maximum(sizes, 1)).sum(1) / total
    negatives = counts * (1 - y)
    below = np.cumsum(negatives, 1)
    wrong = below[:, -1]
    pairs = wrong * (total - wrong)
    with np.errstate(invalid="ignore"):
        auroc = ((counts * y) * below).sum(1) / np.where(pairs > 0, pairs, np.nan)
    aurc = _aurc(y, counts, negatives)
    return {
        "brier": brier,
        "nll": nll,
        "auroc": auroc,
        "aurc": aurc,
        "prr": _prr(aurc, total, wrong),
        "accuracy": accuracy,
        "brier_resolution": reliability + accuracy * (1 - accuracy) - brier,
    }


def _aurc(y: Array, counts: Array, negatives: Array) -> Array:
    """Mean risk over the answers in falling order of confidence. An answer that is there w times, after N others of
    which E are wrong, adds sum over j = 1..w of (E + j e) / (N + j) = w e + (E - e N) (H(N + w) - H(N)), with e = 1
    where it is wrong and H the harmonic numbers."""
    w, bad = counts[:, ::-1], negatives[:, ::-1]
    upto = np.cumsum(w, 1)
    before, wrong_before = upto - w, np.cumsum(bad, 1) - bad
    last = int(upto[:, -1].max())
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, last + 1))])
    spread = harmonic[upto.astype(int)] - harmonic[before.astype(int)]
    risks = bad + (wrong_before - (1 - y[::-1]) * before) * spread
    return np.asarray(risks.sum(1) / upto[:, -1])


def _prr(aurc: Array, total: Array, wrong: Array) -> Array:
    """The best order has all right answers first: its risk at k of N is (k - right) / k from there on."""
    right, harmonic = (total - wrong).astype(int), np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total.max() + 1))])
    best = (wrong - right * (harmonic[total.astype(int)] - harmonic[right])) / total
    gain = wrong / total - best
    return np.where(gain > 0, (wrong / total - aurc) / np.where(gain > 0, gain, 1.0), np.nan)


if __name__ == "__main__":
    typer.run(main)
