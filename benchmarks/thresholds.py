"""How often is an answer above a threshold wrong more often than promised, and how much is answered?

python -m benchmarks thresholds

Draws calibration splits from models whose error rate above every threshold is known. A draw violates the guarantee if
the *answers* above its threshold are wrong more often than wanted; 10% of the draws may. Each cell is the share of
draws that violate it / the mean share of answers above the threshold. Compared are

  one of each group    one start, from the top: the guarantee is for an answer of a random group
  by size              a group is kept with probability size / largest, so that it is for an answer
  by size, two starts  a second start, so that errors at the very top do not end the search
  effective number     every answer counts, as n^2 / sum of squared group sizes answers (Kish 1965), two starts
  bets on groups       what reports do: every answer counts, by bets on groups (`p_values`), two starts
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer
from scipy.special import betainc, expit, ndtr
from scipy.stats import binom

from calibration_tuning.metrics.abstention import find_threshold, last_passed, perfect_record, starts, threshold_counts
from calibration_tuning.runs.progress import progress

Array = np.ndarray
Generator = np.random.Generator
GROUPS, MANY, SURE = 200, 100_000, 0.9
TOGETHER = 0.9
"""Latent correlation of the answers of a group."""
HARDER = 1.5
"""Log-odds between hard or easy groups and the model's mean."""

MODELS: dict[str, Callable[[Array], Array]] = {
    "sharp": lambda s: expit(7 * (s - 0.35)),
    "mild": lambda s: 0.55 + 0.43 * s,
    "wavy": lambda s: np.clip(s - 0.1 * np.sin(5 * s), 0.01, 0.99),
    "overconfident top": lambda s: np.where(s > 0.95, 0.6, expit(7 * (s - 0.35))),
}
"""Chance that an answer is correct, by its score in [0, 1]."""
DESIGNS: dict[str, tuple[int, float]] = {
    "single answers": (1, 0.0),
    "easy singles, hard groups of six": (6, -HARDER),
    "hard singles, easy groups of six": (6, HARDER),
}
"""Size of a third of the groups, and how much easier these are than the others."""
Drawn = tuple[Array, Array, Array]
"""Scores, correctness and groups of answers, [n] each."""
WORST = "all errors in groups of three"


def main(repeats: Annotated[int, typer.Option(help="Calibration splits drawn for each row.")] = 400) -> None:
    print(f"| confidence | answers | wanted | {' | '.join(METHODS)} |\n|---|---|---:|{'---:|' * len(METHODS)}")
    cases = [(model, design, rate) for design in DESIGNS for model in MODELS for rate in (0.1, 0.2)]
    cases += [("none", WORST, rate) for rate in (0.1, 0.2)]
    rows = []
    with progress(len(cases) * repeats, "vouching", "splits") as bar:
        for model, design, rate in cases:
            risks = true_risk(*made(np.random.default_rng(0), model, design, rate, MANY)[:2])
            totals = np.zeros((len(METHODS), 2))
            for seed in range(repeats):
                totals += outcomes(
                    made(np.random.default_rng(seed), model, design, rate, GROUPS), rate, repeats + seed, risks
                )
                bar.update(1)
            rows.append(totals / repeats)
            cells = " | ".join(f"{violated:.2f} / {answered:.2f}" for violated, answered in rows[-1])
            print(f"| {model} | {design} | {rate:.0%} | {cells} |", flush=True)
    worst, mean = np.max(rows, 0)[:, 0], np.mean(rows[:-2], 0)[:, 1]
    cells = " | ".join(f"{violated:.2f} / {answered:.3f}" for violated, answered in zip(worst, mean, strict=True))
    print(f"| worst violation / mean answered (without the last two) | | | {cells} |")


def made(generator: Generator, model: str, design: str, rate: float, count: int) -> Drawn:
    """Answers of `count` groups. Without a model: scores that say nothing, and errors just above the wanted rate."""
    large, easier = DESIGNS.get(design, (3, 0.0))
    sizes = np.where(generator.random(count) < 2 / 3, 1, large)
    groups = np.repeat(np.arange(count), sizes)
    shared = generator.normal(size=count)[groups]
    latent = np.sqrt(TOGETHER) * shared + np.sqrt(1 - TOGETHER) * generator.normal(size=len(groups))
    is_large = sizes[groups] > 1
    if model == "none":
        wrong = 1.02 * rate * (2 / 3 + large / 3) / (large / 3)
        correct = ~is_large | (ndtr(shared) >= wrong)
        return generator.random(count)[groups], correct.astype(np.float64), groups
    score = generator.beta(2, 1.2, len(groups))
    chance = np.clip(MODELS[model](score), 1e-6, 1 - 1e-6)
    shift = np.where(is_large, easier, -easier) if easier else 0.0
    return score, (ndtr(latent) < expit(np.log(chance / (1 - chance)) + shift)).astype(np.float64), groups


def true_risk(score: Array, correct: Array) -> tuple[Array, Array]:
    """Scores, falling, and the error rate of the answers from each on."""
    order = np.argsort(-score, kind="stable")
    return score[order], np.cumsum(1 - correct[order]) / np.arange(1, len(order) + 1)


def outcomes(drawn: Drawn, rate: float, seed: int, risks: tuple[Array, Array]) -> Array:
    """[methods, 2]: is the guarantee violated, and which share of answers the threshold lets through."""
    rows = np.zeros((len(METHODS), 2))
    scores, risk = risks
    for row, method in enumerate(METHODS.values()):
        threshold = method(drawn, rate, seed)
        if threshold is None:
            continue
        answered = int(np.searchsorted(-scores, -threshold, side="right"))
        rows[row] = bool(answered) and risk[answered - 1] > rate, answered / len(scores)
    return rows


def by_group(drawn: Drawn, rate: float, seed: int) -> float | None:
    score, correct, groups = drawn
    order = np.random.default_rng(seed).permutation(len(groups))
    chosen = order[np.unique(groups[order], return_index=True)[1]]
    return one_start(score[chosen], correct[chosen], rate)


def by_size(drawn: Drawn, rate: float, seed: int) -> float | None:
    score, correct, groups = drawn
    chosen = independent_answers(groups, seed)
    return one_start(score[chosen], correct[chosen], rate)


def by_size_two_starts(drawn: Drawn, rate: float, seed: int) -> float | None:
    score, correct, groups = drawn
    chosen = independent_answers(groups, seed)
    return find_threshold(score[chosen], correct[chosen], np.arange(len(chosen)), rate, SURE)


def independent_answers(groups: Array, seed: int) -> Array:
    """Positions [k] of answers that are independent, and each as likely to be any answer as any other: one of each
    group, and a group is kept with probability size / largest size."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(groups))
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    is_kept = generator.random(len(sizes)) * sizes.max(initial=0) < sizes
    return np.sort(order[first[is_kept]])


def ours(drawn: Drawn, rate: float, seed: int) -> float | None:
    return find_threshold(*drawn, rate, SURE)


def one_start(score: Array, correct: Array, rate: float) -> float | None:
    """Tests from the highest threshold on that a perfect record could pass, until the first fails."""
    values, answered, errors = threshold_counts(score, correct)
    least = np.log(1 - SURE) / np.log1p(-rate)
    if not len(answered) or answered[-1] < least:
        return None
    start = int(np.searchsorted(answered, least))
    passed = last_passed(binom.cdf(errors, answered, rate), [start], 1 - SURE)
    return None if passed is None else float(values[passed])


def by_effective_number(drawn: Drawn, rate: float, seed: int) -> float | None:
    score, correct, groups = drawn
    values, answered, errors = threshold_counts(score, correct)
    order = np.argsort(-score, kind="stable")
    ranks = np.empty(len(order))
    by_label = np.argsort(groups[order], kind="stable")
    sizes = np.bincount(groups)
    ranks[by_label] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    effective = answered**2 / np.cumsum(2 * ranks + 1)[answered - 1]
    right = effective * (1 - errors / answered)
    # The binomial distribution for numbers that are not whole: P(Bin(n, q) <= k) = I_(1-q)(n - k, k + 1).
    p_values = np.where(errors == answered, 1.0, betainc(np.maximum(right, 1e-9), effective - right + 1, 1 - rate))
    begin = starts(np.maximum.accumulate(effective), perfect_record(1, rate, (1 - SURE) / 2))
    passed = last_passed(p_values, begin, 1 - SURE)
    return None if passed is None else float(values[passed])


METHODS = {
    "one of each group": by_group,
    "by size": by_size,
    "by size, two starts": by_size_two_starts,
    "effective number": by_effective_number,
    "bets on groups": ours,
}

if __name__ == "__main__":
    typer.run(main)
