"""What more computing at the time of answering buys: more samples, or more tokens of reasoning."""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.cross_fitting import apply
from evaluation.agreement import majority
from evaluation.evidence import TUNED_QUERY, Evidence
from evaluation.schema import Compute, ReasoningPoint, SamplePoint

SHOWN = ("accuracy", "brier", "ece", "auroc", "mean_confidence")


def curves(evidence: Evidence) -> Compute | None:
    """`samples`: the majority answer of 1, 2, 4, ... samples, its share being the confidence. `reasoning`: the answer
    after each budget of reasoning, rated by the mean probability of its tokens and by the tuned query. Each point with
    the mean number of tokens that were generated for an answer. None where neither was measured."""
    samples, reasoning = _samples(evidence), _reasoning(evidence)
    return Compute(samples=samples, reasoning=reasoning) if samples or reasoning else None


def _samples(evidence: Evidence) -> list[SamplePoint]:
    findings = ((row, evidence.findings.of("samples", "before", row)) for row in evidence.splits["test"])
    drawn = [(row, finding["samples"]) for row, finding in findings if finding and finding["samples"]]
    if not drawn:
        return []
    groups = np.array([row.group for row, _ in drawn])
    most = min(len(samples) for _, samples in drawn)
    points = []
    for count in [k for k in (1, 2, 4, 8, 16, 32, 64) if k < most] + [most]:
        correct, share = np.array([majority(row, samples[:count]) for row, samples in drawn]).T
        tokens = float(np.mean([sum(sample["tokens"] for sample in samples[:count]) for _, samples in drawn]))
        rated = evidence.rated_against(share, correct, groups, SHOWN)
        points.append(SamplePoint(samples=count, tokens=tokens, n=len(drawn), vote_share=rated))
    return points


def _reasoning(evidence: Evidence) -> list[ReasoningPoint]:
    findings = ((row, evidence.findings.of("reasoning", "after", row)) for row in evidence.splits["test"])
    asked = [(row, finding["budgets"]) for row, finding in findings if finding]
    groups = np.array([row.group for row, _ in asked])
    points = []
    for number in range(len(asked[0][1]) if asked else 0):
        answers = [budgets[number] for _, budgets in asked]
        correct, probability, logit = (
            np.array([answer[name] for answer in answers]) for name in ("correct", "token_probability", "query_logit")
        )
        tuned = apply(evidence.fits[TUNED_QUERY][evidence.kind_of(TUNED_QUERY)], logit)
        points.append(
            ReasoningPoint(
                budget=answers[0]["budget"],
                tokens=float(np.mean([answer["tokens"] for answer in answers])),
                n=len(asked),
                token_probability=evidence.rated_against(probability, correct, groups, SHOWN),
                query=evidence.rated_against(tuned, correct, groups, SHOWN),
            )
        )
    return points
