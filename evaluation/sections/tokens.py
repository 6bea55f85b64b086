"""Token-level calibration: Full-ECE and its companions on the reference answers' tokens, and at the query position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calibration_tuning.metrics.token_bins import BINNINGS, Binning
from calibration_tuning.metrics.token_calibration import TokenCalibration
from evaluation.evidence import Evidence
from evaluation.passes.base import BOTH, Finding, State, unpack


def tokens(evidence: Evidence) -> dict[str, Any]:
    """By binning: `before`, `after`, `difference` with intervals over questions, and the bins; teacher-forced on the
    reference answers of the test split behind the few-shot block. `by_source` with equal-width bins."""
    sources = sorted({row.source for split in ("test", "evaluation") for row in evidence.splits.get(split, ())})
    return {
        **{binning: _tokens(evidence, binning) for binning in BINNINGS},
        "by_source": {source: _by_source(evidence, source) for source in sources},
    }


def query_tokens(evidence: Evidence) -> dict[str, Any] | None:
    """The right verdict's token against the whole vocabulary, at the query position; None where a probe is read."""
    if evidence.record.method != "lora_prompt":
        return None
    return _pair(evidence, *(_seen(evidence, "test", "query", state, lambda found: found["tokens"]) for state in BOTH))


def _tokens(evidence: Evidence, binning: Binning) -> dict[str, Any]:
    sides = (_seen(evidence, "test", "tokens", state, lambda f: f["tokens"][binning], binning) for state in BOTH)
    return _pair(evidence, *sides)


def _seen(
    evidence: Evidence,
    split: str,
    name: str,
    state: State,
    packed: Callable[[Finding], str],
    binning: Binning = "equal_width",
    source: str | None = None,
) -> TokenCalibration:
    """What a pass has seen of a split (or of one source in it), its rows numbered by their place."""
    rows = {number: row for number, row in enumerate(evidence.splits[split]) if source in (None, row.source)}
    sums = evidence.findings.each(name, state, rows, lambda found: unpack(packed(found)))
    sizes = evidence.findings.each(name, state, rows, lambda found: found["vocabulary"])
    vocabulary = next(iter(sizes.values()), None)
    return TokenCalibration(evidence.config.evaluation.num_bins, binning).restored(vocabulary, sums)


def _pair(evidence: Evidence, before: TokenCalibration, after: TokenCalibration) -> dict[str, Any]:
    count, seed, groups = evidence.config.evaluation.bootstrap_samples, evidence.config.seed, evidence.groups("test")
    return {
        "n": before.compute()["n"],
        "vocabulary": before.vocabulary,
        "before": before.compute_intervals(count, seed, groups),
        "after": after.compute_intervals(count, seed, groups),
        "difference": after.difference_intervals(before, count, seed, groups),
        "bins": {state: _bins(side) for state, side in zip(BOTH, (before, after), strict=True)},
    }


def _bins(side: TokenCalibration) -> dict[str, list[float]]:
    bins = side.bins()
    return {name: getattr(bins, name).tolist() for name in ("low", "high", "predicted", "realised")}


def _by_source(evidence: Evidence, source: str) -> dict[str, Any]:
    split = "test" if any(row.source == source for row in evidence.splits["test"]) else "evaluation"
    settings, seed = evidence.config.evaluation, evidence.config.seed
    sides = {
        state: _seen(evidence, split, "tokens", state, lambda f: f["tokens"]["equal_width"], source=source)
        for state in BOTH
    }
    return {
        "n": sides["before"].compute()["n"],
        **{
            state: side.compute_intervals(settings.bootstrap_samples, seed, evidence.groups(split))
            for state, side in sides.items()
        },
    }
