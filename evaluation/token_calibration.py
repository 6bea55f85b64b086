"""Full-ECE (Liu et al. 2024, arXiv 2406.11345) and its companions, streamed over token positions.

With N positions, vocabulary K, p[i, k] the probability and y[i] the realised token, bin m pools all pairs (i, k) with
m/M <= p[i, k] < (m+1)/M (the last bin closed):

    full_ece         = sum_m |sum over B_m of (1[y_i = k] - p[i, k])| / N        in [0, 2]
    full_ece_nk      = full_ece / K, the normalisation by all N K pairs that some code uses
    vocabulary_brier = mean_i (sum_k p[i, k]^2 - 2 p[i, y_i] + 1)                in [0, 2]
    nll              = mean_i -log p[i, y_i], in nats
    top1_ece         = ECE of max_k p[i, k] against whether that token was realised; accuracy is its mean

Nearly all pairs lie in bin 0, and summing their tiny probabilities in float32 is grossly wrong. Here a row's few
probabilities >= 1/M are summed by bin in float64, and bin 0 is the rest of the row: 1 minus those.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from evaluation.bootstrap import Interval, difference, intervals

CHUNK = 64
NAMES = ("full_ece", "full_ece_nk", "vocabulary_brier", "nll", "top1_ece", "accuracy")


class TokenCalibration:
    """Accumulates sums, never logits: num_bins * 2 + 4 float64 numbers per sequence."""

    def __init__(self, num_bins: int = 10) -> None:
        if num_bins < 2:
            raise ValueError(f"num_bins is {num_bins}; at least 2 bins are needed")
        self.num_bins = num_bins
        self.vocabulary: int | None = None
        self._sums: dict[int, np.ndarray] = {}

    def update(self, logits: Tensor, targets: Tensor, sequence_ids: Sequence[int] | None = None) -> None:
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
        owners = np.zeros(len(targets), dtype=np.int64) if sequence_ids is None else np.asarray(sequence_ids)
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            self._add(self._row_sums(logits[part], targets[part].to(logits.device)), owners[part])

    def merge(self, other: TokenCalibration) -> None:
        """Add what another instance (another batch, another rank) has seen."""
        if (self.num_bins, self.vocabulary or other.vocabulary) != (
            other.num_bins,
            other.vocabulary or self.vocabulary,
        ):
            raise ValueError("cannot merge: the two have different numbers of bins or vocabularies")
        self.vocabulary = self.vocabulary or other.vocabulary
        for owner, sums in other._sums.items():
            self._sums[owner] = self._sums.get(owner, 0.0) + sums

    def compute(self) -> dict[str, float]:
        """The metrics of everything seen, and `n`, the number of positions; without positions all are NaN."""
        total = self._matrix().sum(0)
        return self._metrics(total) | {"n": int(total[0])}

    def compute_intervals(self, count: int = 1000, seed: int = 0) -> dict[str, Interval]:
        """The metrics with 95% bootstrap intervals over sequences."""
        matrix = self._matrix()
        return intervals(lambda indices: self._metrics(matrix[indices].sum(0)), len(matrix), count, seed)

    def difference_intervals(self, before: TokenCalibration, count: int = 1000, seed: int = 0) -> dict[str, Interval]:
        """self - before with paired intervals; both must have seen the same sequences."""
        if sorted(self._sums) != sorted(before._sums):
            raise ValueError("a paired difference needs the same sequences on both sides")
        after, first = self._matrix(), before._matrix()

        def metrics(indices: np.ndarray) -> dict[str, float | None]:
            return difference(self._metrics(after[indices].sum(0)), self._metrics(first[indices].sum(0)))

        return intervals(metrics, len(after), count, seed)

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        """Per bin, the summed gap (realised minus probability) of Full-ECE and of top-1 ECE, each [M]."""
        _, full, top = self._split(self._matrix().sum(0))
        return full, top

    def _row_sums(self, logits: Tensor, targets: Tensor) -> np.ndarray:
        """[rows, 4 + 2 M]: count, Brier, NLL, top-1 hit, then the gaps by bin of all pairs and of the top-1 pair."""
        if not torch.isfinite(logits).all():
            raise ValueError("logits hold NaN or infinite values; calibration is undefined on them")
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
            raise ValueError(
                f"targets must lie in [0, {logits.shape[1]}), found {int(targets.min())}..{int(targets.max())}"
            )
        p = logits.double().softmax(-1)
        edges = torch.arange(1, self.num_bins, dtype=p.dtype, device=p.device) / self.num_bins
        rows = torch.arange(len(p), device=p.device)
        full = p.new_zeros(len(p), self.num_bins)
        row, token = (p >= edges[0]).nonzero(as_tuple=True)
        large = p[row, token]
        full.index_put_((row, torch.bucketize(large, edges, right=True)), -large, accumulate=True)
        full[:, 0] = -(1 + full.sum(1)).clamp(min=0)
        realised = p[rows, targets]
        full[rows, torch.bucketize(realised, edges, right=True)] += 1
        confidence, best = p.max(-1)
        hit = (best == targets).double()
        top = p.new_zeros(len(p), self.num_bins)
        top[rows, torch.bucketize(confidence, edges, right=True)] = hit - confidence
        nll = torch.logsumexp(logits.double(), -1) - logits.double()[rows, targets]
        brier = p.square().sum(-1) - 2 * realised + 1
        return torch.cat([torch.stack([torch.ones_like(nll), brier, nll, hit], 1), full, top], 1).cpu().numpy()

    def _add(self, sums: np.ndarray, owners: np.ndarray) -> None:
        for owner in np.unique(owners).tolist():
            self._sums[owner] = self._sums.get(owner, 0.0) + sums[owners == owner].sum(0)

    def _matrix(self) -> np.ndarray:
        width = 4 + 2 * self.num_bins
        return np.stack([self._sums[k] for k in sorted(self._sums)]) if self._sums else np.zeros((0, width))

    def _split(self, total: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return total[:4], total[4 : 4 + self.num_bins], total[4 + self.num_bins :]

    def _metrics(self, total: np.ndarray) -> dict[str, float]:
        (n, brier, nll, hits), full, top = self._split(total)
        if not n:
            return dict.fromkeys(NAMES, float("nan"))
        full_ece = float(np.abs(full).sum() / n)
        values = (full_ece, full_ece / (self.vocabulary or 1), brier / n, nll / n, np.abs(top).sum() / n, hits / n)
        return dict(zip(NAMES, map(float, values), strict=True))
