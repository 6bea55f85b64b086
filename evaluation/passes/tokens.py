"""The answer's tokens and the reference's, read after the question: how probable they are, and how calibrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from calibration_tuning.lm.likelihood import CHUNK, Continued, continue_rows, token_entropies, token_logprobs
from calibration_tuning.lm.models import float32_logits
from calibration_tuning.metrics.token_bins import BINNINGS, Binning
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.records import Demonstration, FewShot, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State, pack

TEMPERATURES = tuple(float(t) for t in np.round(np.arange(0.5, 1.501, 0.05), 2))
"""By which token logits are divided, in the scan."""
SCANNED = 32
"""The scan looks at this many tokens from the beginning of a reference: a program of hundreds would outweigh the
rest."""


def answer_block(few_shot: FewShot, row: GradedAnswer) -> Sequence[Demonstration]:
    return few_shot.before(row)


def block_as_loaded(few_shot: FewShot, row: GradedAnswer) -> Sequence[Demonstration]:
    return few_shot.shown


def measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`answer_logprobs`: the log-probabilities of the answer's tokens. `answer_entropies`: the entropies of their
    distributions. `vocabulary`: its size K. `tokens`, by binning, and `scan`, by temperature: the sums of
    TokenCalibration over the reference answer's tokens. `adaptive`: the same sums with the checkpoint's token
    temperature, if it has one, and only `before`, because it belongs to the untuned model."""
    references = [context.prompt.answer_ids(row.target) for row in rows]
    # The reference first, as an answer may be empty.
    continuations = [
        [reference, *filter(len, [row.token_ids])] for row, reference in zip(rows, references, strict=True)
    ]
    questions = [context.prompt.answering_ids(row, row.trace) for row in rows]
    continued = continue_rows(context.model, context.prefix(block, state), questions, continuations)
    logprobs = continued.split(token_logprobs(context.model, continued))
    places = continued.split(range(len(continued.targets)))
    at_answers = [place for parts in places if len(parts) > 1 for place in parts[1]]
    entropies = iter(token_entropies(context.model, continued.hidden[at_answers]))
    by_binning, scan, adaptive = _reference_calibration(context, state, continued, [parts[0] for parts in places])
    return [
        {
            "answer_logprobs": list(parts[1]) if len(parts) > 1 else [],
            "answer_entropies": [next(entropies) for _ in parts[1]] if len(parts) > 1 else [],
            "vocabulary": by_binning["equal_width"].vocabulary,
            "tokens": {binning: pack(tokens.sums[i]) for binning, tokens in by_binning.items()},
            "scan": [pack(tokens.sums[i]) for tokens in scan.values()],
            **({} if adaptive is None else {"adaptive": pack(adaptive.sums[i])}),
        }
        for i, parts in enumerate(logprobs)
    ]


def _reference_calibration(
    context: PassContext, state: State, continued: Continued, references: Sequence[Sequence[int]]
) -> tuple[dict[Binning, TokenCalibration], dict[float, TokenCalibration], TokenCalibration | None]:
    """The sums over the references' tokens: by binning, by temperature of the scan, and with the checkpoint's token
    temperature. `references` are the places of each reference's tokens in `continued`."""
    places = [place for reference in references for place in reference]
    owners = np.array([i for i, reference in enumerate(references) for _ in reference])
    first = torch.tensor([number < SCANNED for reference in references for number in range(len(reference))])
    bins = context.settings.num_bins
    by_binning = {binning: TokenCalibration(bins, binning) for binning in BINNINGS}
    scan = {t: TokenCalibration(bins) for t in TEMPERATURES}
    temperature = context.checkpoint.token_temperature if state == "before" else None
    adaptive = None if temperature is None else TokenCalibration(bins)
    for start in range(0, len(places), CHUNK):
        part = slice(start, start + CHUNK)
        hidden, targets = continued.hidden[places[part]], continued.targets[places[part]]
        logits = float32_logits(context.model, hidden)
        for tokens in by_binning.values():
            tokens.update(logits, targets, owners[part])
        if temperature is not None and adaptive is not None:
            adaptive.update(logits.float() / temperature(hidden).unsqueeze(1), targets, owners[part])
        scanned = first[part].to(logits.device)
        scanned_logits, scanned_targets = logits[scanned], targets[scanned]
        scanned_owners = owners[part][first[part].numpy()]
        for t, tokens in scan.items():
            tokens.update(scanned_logits / t, scanned_targets, scanned_owners)
    return by_binning, scan, adaptive
