"""Token-level calibration: Full-ECE and its companions on the reference answers' tokens, and at the query position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibration_tuning.config.training import WITHOUT_PROBE
from calibration_tuning.metrics.token_bins import BINNINGS, Binning
from calibration_tuning.metrics.token_calibration import TokenCalibration
from evaluation.evidence import Evidence
from evaluation.passes.base import BOTH, Finding, State, unpack
from evaluation.schema import BinSums, SourceTokens, TokenComparison, Tokens


def tokens(evidence: Evidence) -> Tokens:
    """Token metrics by binning, before and after, with intervals over questions, and the bins.

    They are teacher-forced on the reference answers of the test split, after the few-shot block. `by_source` has
    equal-width bins."""
    sources = sorted({row.source for split in ("test", "evaluation") for row in evidence.splits.get(split, ())})
    return Tokens(
        **{binning: _tokens(evidence, binning) for binning in BINNINGS},  # type: ignore[arg-type]
        by_source={source: _by_source(evidence, source) for source in sources},
    )


def query_tokens(evidence: Evidence) -> TokenComparison | None:
    """The right verdict's token against the whole vocabulary, at the query position; None where a probe is read."""
    if evidence.record.method not in WITHOUT_PROBE:
        return None
    before, after = (_seen(evidence, "test", "query", state, lambda finding: finding["tokens"]) for state in BOTH)
    return pair(evidence, before, after, evidence.groups("test"))


def _tokens(evidence: Evidence, binning: Binning) -> TokenComparison:
    before, after = (
        _seen(evidence, "test", "tokens", state, lambda f: f["tokens"][binning], binning) for state in BOTH
    )
    return pair(evidence, before, after, evidence.groups("test"))


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
    sums = evidence.findings.each(name, state, rows, lambda finding: unpack(packed(finding)))
    sizes = evidence.findings.each(name, state, rows, lambda finding: finding["vocabulary"])
    vocabulary = next(iter(sizes.values()), None)
    return TokenCalibration(evidence.config.evaluation.num_bins, binning).restored(vocabulary, sums)


def pair(evidence: Evidence, before: TokenCalibration, after: TokenCalibration, groups: np.ndarray) -> TokenComparison:
    """Both sides and their differences, by resampling `groups` [sequences]."""
    count, seed = evidence.config.evaluation.bootstrap_samples, evidence.config.seed
    return TokenComparison(
        n=before.positions,
        vocabulary=before.vocabulary,
        before=before.compute_intervals(count, seed, groups),
        after=after.compute_intervals(count, seed, groups),
        difference=after.difference_intervals(before, count, seed, groups),
        bins={"before": _bins(before), "after": _bins(after)},
    )


def _bins(side: TokenCalibration) -> BinSums:
    bins = side.bins()
    low, high, predicted, realised = (x.tolist() for x in (bins.low, bins.high, bins.predicted, bins.realised))
    return BinSums(low=low, high=high, predicted=predicted, realised=realised)


def _by_source(evidence: Evidence, source: str) -> SourceTokens:
    split = "test" if any(row.source == source for row in evidence.splits["test"]) else "evaluation"
    settings, seed = evidence.config.evaluation, evidence.config.seed
    before, after = (
        _seen(evidence, split, "tokens", state, lambda f: f["tokens"]["equal_width"], source=source) for state in BOTH
    )
    count, groups = settings.bootstrap_samples, evidence.groups(split)
    return SourceTokens(
        n=before.positions,
        before=before.compute_intervals(count, seed, groups),
        after=after.compute_intervals(count, seed, groups),
    )
