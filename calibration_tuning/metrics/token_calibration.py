"""Full-ECE (Liu et al. 2024, arXiv 2406.11345) and its companions, streamed over token positions.

With N positions, vocabulary K, p[i, k] the probability and y[i] the realised token, bin m pools all pairs (i, k) whose
p[i, k] lies in it (see `calibration_tuning.metrics.token_bins`):

    full_ece         = sum_m |sum over B_m of (1[y_i = k] - p[i, k])| / N        in [0, 2]
    full_ece_nk      = full_ece / K, the normalisation by all N K pairs that some code uses
    full_ece_if_calibrated = what full_ece is expected to be if every y[i] is drawn from p[i]: with q[i, m] the
                       probability of row i in bin m, sum_m sqrt(2/pi sum_i q[i, m] (1 - q[i, m])) / N
    vocabulary_brier = mean_i (sum_k p[i, k]^2 - 2 p[i, y_i] + 1)                in [0, 2]
    nll              = mean_i -log p[i, y_i], in nats
    top1_ece         = ECE of max_k p[i, k] against whether that token was realised (`accuracy`), equal-width bins
    top1_ace         = the same with bins of equal numbers of positions, to an eighth in log-odds

Nearly all pairs have a tiny probability, and summing those in float32 is grossly wrong. Here sums are float64, and the
lowest bin is the rest of its row: 1 minus the sum of the others (`calibration_tuning.metrics.row_statistics`).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor

from calibration_tuning.metrics.bootstrap import Interval, draws_of
from calibration_tuning.metrics.comparison import Quantity, Resampled, compared, interval
from calibration_tuning.metrics.row_statistics import RowStatistics, row_statistics
from calibration_tuning.metrics.token_bins import GRID, Binning, cell_edges, cuts, equal_parts, joined

Array = np.ndarray
CHUNK = 256
HEAD_CHUNK = 128
NULL_DRAWS = 200
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


@dataclass(frozen=True)
class TokenBins:
    """Per bin, [M] each: its ends, and the pairs in it summed: probability, and how many tokens were realised."""

    low: Array
    high: Array
    predicted: Array
    realised: Array


class TokenCalibration:
    """Accumulates float64 sums per sequence, never logits: 4 + 5 M + 3 x 257 numbers each for equal-width bins."""

    def __init__(self, num_bins: int = 10, binning: Binning = "equal_width") -> None:
        if num_bins < 2:
            raise ValueError(f"num_bins is {num_bins}; at least 2 bins are needed")
        self.num_bins = num_bins
        self.binning = binning
        self.vocabulary: int | None = None
        self._edges = cell_edges(binning, num_bins)
        sizes = [4, *[len(self._edges) + 1] * 3, *[num_bins] * 2, *[len(GRID) + 1] * 3]
        *self._columns, self._width = np.cumsum(sizes).tolist()
        self._sums: MutableMapping[int, Array] = {}
        self._summed: tuple[Array, Array] | None = None

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
            found = f"{int(targets.min())}..{int(targets.max())}"
            raise ValueError(f"targets must lie in [0, {self.vocabulary}), found {found}")
        owners = np.zeros(len(targets), dtype=np.int64) if sequence_ids is None else np.asarray(sequence_ids)
        own = logits.gather(1, targets.to(logits.device).unsqueeze(1)).squeeze(1).double().cpu().numpy()
        realised = targets.cpu().numpy()
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            self._add(row_statistics(logits[part], cuts(self._edges)), own[part], realised[part], owners[part])

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
        """Add what another instance (another batch, another rank) has seen."""
        mine, theirs = ((one.num_bins, one.binning) for one in (self, other))
        if mine != theirs or (None not in (self.vocabulary, other.vocabulary) and self.vocabulary != other.vocabulary):
            raise ValueError("cannot merge: the two have different bins or vocabularies")
        self.vocabulary = self.vocabulary or other.vocabulary
        for owner, sums in other._sums.items():
            self._count_in(owner, sums)

    def gather(self) -> None:
        """Merge what all ranks of the torch.distributed process group have seen; every rank calls it."""
        import torch.distributed as dist

        everyone: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, (self.vocabulary, dict(self._sums)))
        self._sums, self._summed = {}, None
        for vocabulary, sums in everyone:
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

    def compute(self) -> dict[str, float | None]:
        """The metrics of everything seen, and `n`, the number of positions; without positions the others are None."""
        total, summands = self._everything()
        has_chance = total[0] and self.binning != "equal_mass"
        chance = float(np.sqrt(2 / np.pi) * self._spreads(total)["full_ece"].sum() / total[0]) if has_chance else None
        return self._metrics(summands.sum(0)) | {"full_ece_if_calibrated": chance, "n": int(total[0])}

    def compute_intervals(
        self, count: int = 1000, seed: int = 0, groups: Sequence[Any] | Array | None = None
    ) -> dict[str, Interval]:
        """The metrics with 95% bootstrap intervals over sequences. `groups[i]` is the group of sequence i (ids are then
        positions in it), whose members are drawn together."""
        found = self._resampled(count, seed, groups)
        entries = {name: interval(TOKEN_METRICS[name], one) for name, one in found.items()}
        if self.binning == "equal_mass" and self._sums:
            entries["full_ece"].pop("if_calibrated", None)  # an upper bound, good enough for the interval's lower end
        return entries | {"full_ece_nk": _scaled(entries["full_ece"], 1 / (self.vocabulary or 1))}

    def difference_intervals(
        self, before: TokenCalibration, count: int = 1000, seed: int = 0, groups: Sequence[Any] | Array | None = None
    ) -> dict[str, Interval]:
        """self - before with paired intervals; both must have seen the same sequences."""
        if sorted(self._sums) != sorted(before._sums):
            raise ValueError("a paired difference needs the same sequences on both sides")
        one, two = before._resampled(count, seed, groups), self._resampled(count, seed, groups)
        found = {name: compared(quantity, one[name], two[name]) for name, quantity in TOKEN_METRICS.items()}
        return found | {"full_ece_nk": _scaled(found["full_ece"], 1 / (self.vocabulary or 1))}

    def bins(self) -> TokenBins:
        """What Full-ECE is made of: it sums |realised - predicted| over the bins, over N."""
        total, _ = self._everything()
        bin_of, _ = self._bins_of(total)
        mass, realised, *_ = self._split(total)
        inner = [self._edges[np.flatnonzero(bin_of > m)[0] - 1] for m in range(self.num_bins) if (bin_of > m).any()]
        ends = np.array([0.0, *inner, *[1.0] * (self.num_bins - len(inner))])
        return TokenBins(
            ends[:-1], ends[1:], joined(mass, bin_of, self.num_bins), joined(realised, bin_of, self.num_bins)
        )

    def _add(self, rows: RowStatistics, own: Array, targets: Array, owners: Array) -> None:
        """Add N rows, of which `own` [N] are the logits of `targets` [N]. A sequence's sums: count, Brier, NLL, top-1
        hits; by cell the probability, realised tokens and variance; by bin the top-1 gap and variance; by cell of the
        grid top-1 counts, gaps and variance."""
        owner, place = np.unique(owners, return_inverse=True)
        sums = np.zeros((len(owner), self._width))
        first, mass, realised, variance, top, top_variance, counts, gaps, grid = np.split(sums, self._columns, axis=1)
        chosen = np.exp(own - rows.highest) / rows.total
        hit = (rows.best == targets).astype(np.float64)
        ones = np.ones(len(own))
        brier = rows.squares - 2 * chosen + 1
        np.add.at(first, place, np.stack([ones, brier, np.log(rows.total) + rows.highest - own, hit], 1))
        np.add.at(mass, place, rows.mass)
        np.add.at(variance, place, rows.mass * (1 - rows.mass))
        np.add.at(realised, (place, np.digitize(chosen, cuts(self._edges))), ones)
        confidence = 1 / rows.total
        at = place, np.digitize(confidence, cuts(cell_edges("equal_width", self.num_bins)))
        np.add.at(top, at, hit - confidence)
        np.add.at(top_variance, at, confidence * (1 - confidence))
        at = place, np.digitize(confidence, cuts(GRID))
        np.add.at(counts, at, ones)
        np.add.at(gaps, at, hit - confidence)
        np.add.at(grid, at, confidence * (1 - confidence))
        for number, one in zip(owner.tolist(), sums, strict=True):
            self._count_in(number, one)

    def _count_in(self, owner: int, sums: Array) -> None:
        self._sums[owner] = self._sums.get(owner, 0.0) + sums
        self._summed = None

    def _everything(self) -> tuple[Array, Array]:
        """The sums of all sequences together, [W], and of each what the metrics need, [n, 4 + 3 M], by sequence."""
        if self._summed is None:
            total = np.sum([some.sum(0) for some in self._in_parts()] or np.zeros((1, self._width)), axis=0)
            bins = self._bins_of(total)
            own = [np.zeros((0, 4 + 3 * self.num_bins)), *(self._summands(some, bins) for some in self._in_parts())]
            self._summed = total, np.concatenate(own)
        return self._summed

    def _in_parts(self) -> Iterator[Array]:
        """The sums of the sequences in their order, [n, W] of a few at a time."""
        ids = sorted(self._sums)
        for start in range(0, len(ids), CHUNK):
            yield np.stack([self._sums[number] for number in ids[start : start + CHUNK]])

    def _split(self, sums: Array) -> list[Array]:
        """Of sums [..., W] by cell probability, realised, variance; by bin top-1 gap, variance; by cell of the grid
        top-1 counts, gaps, variance."""
        return np.split(sums, self._columns, axis=-1)[1:]

    def _bins_of(self, total: Array) -> tuple[Array, Array]:
        """Bin of every cell, and of every cell of the top-1 grid."""
        mass, _, _, _, _, counts, _, _ = self._split(total)
        own = np.arange(self.num_bins) if self.binning != "equal_mass" else equal_parts(mass, self.num_bins)
        return own, equal_parts(counts, self.num_bins)

    def _summands(self, sums: Array, bins: tuple[Array, Array]) -> Array:
        """What the metrics need of sums [..., W], and of which they need the sum over sequences, [..., 4 + 3 M]: count,
        Brier, NLL, top-1 hits; the gaps of the bins, of top-1's and of its adaptive bins."""
        mass, realised, _, top, _, _, gaps, _ = self._split(sums)
        own, adaptive = joined(realised - mass, bins[0], self.num_bins), joined(gaps, bins[1], self.num_bins)
        return np.concatenate([sums[..., :4], own, top, adaptive], -1)

    def _metrics(self, summed: Array) -> dict[str, float | None]:
        (n, brier, nll, hits), gaps = summed[:4], summed[4:].reshape(3, -1)
        if not n:
            return dict.fromkeys(TOKEN_METRICS)
        full_ece, top1_ece, top1_ace = np.abs(gaps).sum(1)
        values = (full_ece, full_ece / (self.vocabulary or 1), brier, nll, top1_ece, top1_ace, hits)
        return dict(zip(TOKEN_METRICS, (float(value / n) for value in values), strict=True))

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
        return {
            name: Resampled(value, draws.get(name, ()), null.get(name, ()))
            for name, value in self._metrics(summands.sum(0)).items()
        }

    def _spreads(self, total: Array) -> dict[str, Array]:
        """Standard deviation of each bin's gap if every token is drawn from its probabilities. Positions are then
        uncorrelated, those of one sequence too: each is drawn given what came before it.

        For `equal_mass`, whose cells are joined, it is an upper bound.
        """
        _, _, variance, _, top, _, _, grid = (part.clip(min=0) for part in self._split(total))
        own, adaptive = self._bins_of(total)
        return {
            "full_ece": np.sqrt(joined(variance, own, self.num_bins)),
            "top1_ece": np.sqrt(top),
            "top1_ace": np.sqrt(joined(grid, adaptive, self.num_bins)),
        }

    def _null(self, total: Array, seed: int) -> dict[str, list[float]]:
        """What errors chance alone makes, by the normal approximation."""
        if not total[0]:
            return {}
        noise = np.abs(np.random.default_rng(seed).normal(size=(NULL_DRAWS, self.num_bins)))
        return {name: (noise @ spread / total[0]).tolist() for name, spread in self._spreads(total).items()}


def _scaled(entry: Interval, by: float) -> Interval:
    """The same interval in another unit; p-value and verdict stay."""
    found = dict(entry)
    for name in ("value", "low", "high"):
        found[name] = None if entry[name] is None else entry[name] * by
    if "if_calibrated" in entry:
        found["if_calibrated"] = _scaled(entry["if_calibrated"], by)
    return found
