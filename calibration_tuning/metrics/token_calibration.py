"""Full-ECE (Liu et al. 2024, arXiv 2406.11345) and its companions, streamed over token positions.

With N positions, vocabulary K, p[i, k] the probability and y[i] the realised token, bin m pools all pairs (i, k) whose
p[i, k] lies in it (see `metrics.token_bins`):

    full_ece         = sum_m |sum over B_m of (1[y_i = k] - p[i, k])| / N        in [0, 2]
    full_ece_nk      = full_ece / K, the normalisation by all N K pairs that some code uses
    full_ece_if_calibrated = what full_ece is expected to be if every y[i] is drawn from p[i]: with q[i, m] the
                       probability of row i in bin m, sum_m sqrt(2/pi sum_i q[i, m] (1 - q[i, m])) / N
    vocabulary_brier = mean_i (sum_k p[i, k]^2 - 2 p[i, y_i] + 1)                in [0, 2]
    nll              = mean_i -log p[i, y_i], in nats
    top1_ece         = ECE of max_k p[i, k] against whether that token was realised (`accuracy`), equal-width bins
    top1_ace         = the same with bins of equal numbers of positions, to an eighth in log-odds

Nearly all pairs have a tiny probability, and summing those in float32 is grossly wrong. Here sums are float64, and the
lowest bin is the rest of its row: 1 minus the sum of the others (`metrics.row_statistics`).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
from torch import Tensor, as_tensor

from calibration_tuning.metrics.bootstrap import Difference, Interval, draws_of
from calibration_tuning.metrics.comparison import Quantity, Resampled, compared, interval
from calibration_tuning.metrics.row_statistics import row_statistics
from calibration_tuning.metrics.token_bins import Binning, cuts, equal_parts, joined
from calibration_tuning.metrics.token_null import covariances, errors_by_chance, expected_error
from calibration_tuning.metrics.token_sums import SumLayout, Sums

Array = np.ndarray
CHUNK = 256
HEAD_CHUNK = 128
NOTHING = "undefined: no token positions"

TOKEN_METRICS: dict[str, Quantity] = {
    "full_ece": Quantity("Full-ECE", calibration_error=True, undefined=NOTHING, largest=2.0),
    "full_ece_nk": Quantity("Full-ECE / K", calibration_error=True, undefined=NOTHING, largest=2.0),
    "vocabulary_brier": Quantity("Vocabulary Brier", undefined=NOTHING),
    "nll": Quantity("Token NLL (nats)", undefined=NOTHING),
    "top1_ece": Quantity("Top-1 ECE", calibration_error=True, undefined=NOTHING),
    "top1_ace": Quantity("Top-1 ACE", calibration_error=True, undefined=NOTHING),
    "accuracy": Quantity("Top-1 accuracy", 0, undefined=NOTHING),
}


def full_ece(
    logits: Tensor | Array,
    targets: Tensor | Array | Sequence[int],
    num_bins: int = 10,
    binning: Binning = "equal_width",
) -> float | None:
    """Full-ECE (Liu et al. 2024) of logits [N, K] against the realised tokens `targets` [N], in [0, 2].

    None for N = 0. Raises ValueError for NaN or infinite logits, for targets outside [0, K), and for fewer than 2 bins.
    For intervals, and for positions that do not fit into memory at once, use `TokenCalibration`.
    """
    tokens = TokenCalibration(num_bins, binning)
    tokens.update(as_tensor(logits), as_tensor(targets))
    return tokens.compute()["full_ece"]


@dataclass(frozen=True)
class TokenBins:
    """Per bin, [M] each: its ends, and the pairs in it summed: probability, and how many tokens were realised."""

    low: Array
    high: Array
    predicted: Array
    realised: Array


class _Gaps(NamedTuple):
    """What the metrics are sums of over sequences: totals [4], and gaps [M] by kind of bin."""

    totals: Array
    full: Array
    top1: Array
    adaptive: Array


class TokenCalibration:
    """Accumulates float64 sums per sequence, never logits; batches and ranks can be merged."""

    def __init__(self, num_bins: int = 10, binning: Binning = "equal_width") -> None:
        """`binning` is one of `metrics.token_bins.BINNINGS`. Raises ValueError for fewer than 2 bins."""
        if num_bins < 2:
            raise ValueError(f"num_bins is {num_bins}; at least 2 bins are needed")
        self.num_bins = num_bins
        self.binning = binning
        self.vocabulary: int | None = None
        """K, as soon as logits were seen."""
        self._layout = SumLayout(num_bins, binning)
        self._sums: MutableMapping[int, Array] = {}
        self._summed: tuple[Sums, Array] | None = None

    def update(self, logits: Tensor, targets: Tensor, sequence_ids: Sequence[int] | Array | None = None) -> None:
        """Add N positions: logits [N, K] of any float type and device, targets [N] token ids.

        `sequence_ids` [N] says which sequence (question) each position belongs to, the unit of the bootstrap; without
        them every position counts into one. Raises ValueError for NaN or infinite logits and for targets outside
        the vocabulary.
        """
        if logits.ndim != 2 or targets.shape != logits.shape[:1]:
            raise ValueError(f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} must be [N, K] and [N]")
        if self.vocabulary not in (None, logits.shape[1]):
            raise ValueError(f"logits over {logits.shape[1]} tokens after logits over {self.vocabulary}")
        self.vocabulary = logits.shape[1]
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < self.vocabulary:
            raise ValueError(
                f"targets must lie in [0, {self.vocabulary}), found {int(targets.min())}..{int(targets.max())}"
            )
        owners = np.zeros(len(targets), dtype=np.int64) if sequence_ids is None else np.asarray(sequence_ids)
        target_logits = logits.gather(1, targets.to(logits.device).unsqueeze(1)).squeeze(1).double().cpu().numpy()
        realised = targets.cpu().numpy()
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            rows = row_statistics(logits[part], cuts(self._layout.edges))
            sums = self._layout.of_rows(rows, target_logits[part], realised[part], owners[part])
            for owner, added in sums.items():
                self._count_in(owner, added)

    def update_hidden(
        self,
        hidden: Tensor,
        head: Callable[[Tensor], Tensor],
        targets: Tensor,
        sequence_ids: Sequence[int] | Array | None = None,
    ) -> None:
        """`update` from the hidden states [N, H] before the vocabulary projection `head` ([n, H] -> logits [n, K]).

        128 positions are projected at a time, so that N x K logits never exist.
        """
        for start in range(0, len(targets), HEAD_CHUNK):
            part = slice(start, start + HEAD_CHUNK)
            owners = None if sequence_ids is None else sequence_ids[part]
            self.update(head(hidden[part]), targets[part], owners)

    def merge(self, other: TokenCalibration) -> None:
        """Add what another instance (another batch, another rank) has seen.

        Raises ValueError where the other has other bins or another vocabulary.
        """
        same_bins = (self.num_bins, self.binning) == (other.num_bins, other.binning)
        if not same_bins or (self.vocabulary and other.vocabulary and self.vocabulary != other.vocabulary):
            raise ValueError("cannot merge: the two have different bins or vocabularies")
        self.vocabulary = self.vocabulary or other.vocabulary
        for owner, sums in other._sums.items():
            self._count_in(owner, sums)

    def gather(self) -> None:
        """Merge what all ranks of the torch.distributed process group have seen; every rank calls it."""
        import torch.distributed as dist

        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, (self.vocabulary, dict(self._sums)))
        self._sums, self._summed = {}, None
        for vocabulary, sums in gathered:
            self.merge(self.restored(vocabulary, sums))

    @property
    def sums(self) -> Mapping[int, Array]:
        """Everything seen, by sequence: what `restored` takes."""
        return self._sums

    def restored(self, vocabulary: int | None, sums: Mapping[int, Array]) -> TokenCalibration:
        """Another instance with these bins, which has seen `sums`. They are not copied but looked up when they are
        needed, a few at a time, so that a mapping may read them from disk; they must not change afterwards."""
        other = TokenCalibration(self.num_bins, self.binning)
        other.vocabulary, other._sums = vocabulary, ChainMap({}, cast(MutableMapping[int, Array], sums))
        return other

    @property
    def positions(self) -> int:
        """N, of everything seen."""
        return int(self._everything()[0].totals[0])

    def compute(self) -> dict[str, float | None]:
        """The metrics of everything seen, and `n`, the number of positions; without positions the others are None."""
        total, summands = self._everything()
        n = total.totals[0]
        chance = None
        if n and self.binning != "equal_mass":
            chance = expected_error(covariances(total, *self._bins_of(total), self.num_bins)["full_ece"]) / n
        return self._metrics(summands.sum(0)) | {"full_ece_if_calibrated": chance, "n": int(n)}

    def compute_intervals(
        self, count: int = 1000, seed: int = 0, groups: Sequence[Any] | Array | None = None
    ) -> dict[str, Interval]:
        """The metrics with 95% intervals from `count` resamples of sequences.

        `groups[i]` is the group of sequence i (ids are then positions in it), whose members are drawn together.
        """
        resampled = self._resampled(count, seed, groups)
        entries = {name: interval(TOKEN_METRICS[name], number) for name, number in resampled.items()}
        if self.binning == "equal_mass" and self._sums:
            # Its null is an upper bound, good enough for the interval's lower end but not to be shown.
            entries["full_ece"] = replace(entries["full_ece"], if_calibrated=None)
        return entries | {"full_ece_nk": entries["full_ece"].scaled(1 / (self.vocabulary or 1))}

    def difference_intervals(
        self, before: TokenCalibration, count: int = 1000, seed: int = 0, groups: Sequence[Any] | Array | None = None
    ) -> dict[str, Difference]:
        """self - before with paired intervals. Raises ValueError unless both have seen the same sequences."""
        if sorted(self._sums) != sorted(before._sums):
            raise ValueError("a paired difference needs the same sequences on both sides")
        x, y = before._resampled(count, seed, groups), self._resampled(count, seed, groups)
        differences = {name: compared(quantity, x[name], y[name]) for name, quantity in TOKEN_METRICS.items()}
        return differences | {"full_ece_nk": differences["full_ece"].scaled(1 / (self.vocabulary or 1))}

    def bins(self) -> TokenBins:
        """What Full-ECE is made of: it sums |realised - predicted| over the bins, over N."""
        total, _ = self._everything()
        bin_of, _ = self._bins_of(total)
        edges = self._layout.edges
        inner = [edges[np.flatnonzero(bin_of > m)[0] - 1] for m in range(self.num_bins) if (bin_of > m).any()]
        ends = np.array([0.0, *inner, *[1.0] * (self.num_bins - len(inner))])
        predicted, realised = (joined(part, bin_of, self.num_bins) for part in (total.mass, total.realised))
        return TokenBins(ends[:-1], ends[1:], predicted, realised)

    def _count_in(self, owner: int, sums: Array) -> None:
        self._sums[owner] = self._sums.get(owner, 0.0) + sums
        self._summed = None

    def _everything(self) -> tuple[Sums, Array]:
        """The sums of all sequences together, and what the metrics need of each, [n, 4 + 3 M], by sequence."""
        if self._summed is None:
            width = self._layout.width
            sums = np.sum([part.sum(0) for part in self._in_parts()] or np.zeros((1, width)), axis=0)
            total = self._layout.views(sums)
            bins = self._bins_of(total)
            summands = [self._summands(part, bins) for part in self._in_parts()]
            self._summed = total, np.concatenate(summands or [self._summands(np.zeros((0, width)), bins)])
        return self._summed

    def _in_parts(self) -> Iterator[Array]:
        """The sums of the sequences in their order, [n, W] of a few at a time."""
        ids = sorted(self._sums)
        for start in range(0, len(ids), CHUNK):
            yield np.stack([self._sums[number] for number in ids[start : start + CHUNK]])

    def _bins_of(self, total: Sums) -> tuple[Array, Array]:
        """Bin of every cell, and of every cell of the top-1 grid."""
        is_fixed = self.binning != "equal_mass"
        bin_of = np.arange(self.num_bins) if is_fixed else equal_parts(total.mass, self.num_bins)
        return bin_of, equal_parts(total.grid_count, self.num_bins)

    def _summands(self, sums: Array, bins: tuple[Array, Array]) -> Array:
        """The parts of `_Gaps` side by side, [n, 4 + 3 M], of sums [n, W]."""
        views = self._layout.views(sums)
        full = joined(views.realised - views.mass, bins[0], self.num_bins)
        adaptive = joined(views.grid_gap, bins[1], self.num_bins)
        return np.concatenate(_Gaps(views.totals, full, views.top1_gap, adaptive), -1)

    def _metrics(self, summed: Array) -> dict[str, float | None]:
        """From the sum of `_summands` over sequences, [4 + 3 M]."""
        gaps = _Gaps(*np.split(summed, [4, 4 + self.num_bins, 4 + 2 * self.num_bins]))
        n, brier, nll, hits = gaps.totals
        if not n:
            return dict.fromkeys(TOKEN_METRICS)
        full = np.abs(gaps.full).sum()
        values = {
            "full_ece": full,
            "full_ece_nk": full / (self.vocabulary or 1),
            "vocabulary_brier": brier,
            "nll": nll,
            "top1_ece": np.abs(gaps.top1).sum(),
            "top1_ace": np.abs(gaps.adaptive).sum(),
            "accuracy": hits,
        }
        return {name: float(value / n) for name, value in values.items()}

    def _resampled(self, count: int, seed: int, groups: Sequence[Any] | Array | None) -> dict[str, Resampled]:
        """Values, and values on resamples of sequences; the bins are those of all data."""
        total, summands = self._everything()
        n = len(summands)
        if groups is not None:
            groups = [groups[i] for i in sorted(self._sums)]
        draws = draws_of(
            lambda indices: self._metrics(np.bincount(indices, minlength=n) @ summands),
            n if groups is None else np.asarray(groups),
            count if n else 0,
            seed,
        )
        null = self._null(total, seed)
        units = n if groups is None else len(set(groups))
        return {
            name: Resampled(value, draws.get(name, ()), null.get(name, ()), units)
            for name, value in self._metrics(summands.sum(0)).items()
        }

    def _null(self, total: Sums, seed: int) -> dict[str, list[float]]:
        """What errors chance alone makes."""
        n = total.totals[0]
        if not n:
            return {}
        gaps = covariances(total, *self._bins_of(total), self.num_bins)
        return {name: (errors_by_chance(covariance, seed) / n).tolist() for name, covariance in gaps.items()}
