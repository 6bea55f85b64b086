"""Adaptive token temperature, on made-up logits whose right temperatures are known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import SafetensorError

from calibration_tuning.lm.likelihood import Continued
from calibration_tuning.lm.token_temperature import (
    FILE,
    TokenReads,
    fit_token_temperature,
    load_token_temperature,
    read_tokens,
    save_token_temperature,
    together,
)

WIDTH, VOCABULARY = 8, 50


def made_up(n: int, seed: int, sharp: float = 0.5) -> tuple[TokenReads, torch.Tensor]:
    """Reads of n positions, and their logits [n, K], which are too sharp by exp(`sharp` x the first state)."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, WIDTH, generator=generator)
    true = 2 * torch.randn(n, VOCABULARY, generator=generator)
    targets = torch.multinomial(true.softmax(-1), 1, generator=generator)
    logits = true * torch.exp(sharp * hidden[:, :1])
    return TokenReads(hidden, logits, logits.gather(1, targets).squeeze(1), 0), logits


@pytest.mark.slow
def test_it_finds_where_logits_are_too_sharp() -> None:
    reads, _ = made_up(3000, 0)
    head, numbers = fit_token_temperature(reads, np.arange(3000) // 3)
    test, logits = made_up(2000, 1)
    temperature = head(test.hidden)
    assert float((temperature.log() - 0.5 * test.hidden[:, 0]).abs().mean()) < 0.1
    before, after = float(test.nll(torch.ones(2000)).mean()), float(test.nll(1 / temperature).mean())
    assert after < before - 0.1
    assert numbers["nll_with"] == pytest.approx(after, abs=0.1), "cross-validated: what new tokens score"
    assert numbers["nll_without"] == pytest.approx(before, abs=0.3)
    assert ((logits / temperature.unsqueeze(1)).argmax(1) == logits.argmax(1)).all()


@pytest.mark.slow
def test_calibrated_logits_are_left_alone() -> None:
    reads, _ = made_up(3000, 0, sharp=0.0)
    head, _ = fit_token_temperature(reads, np.arange(3000))
    assert float((head(made_up(500, 1)[0].hidden).log()).abs().max()) < 0.3


def test_few_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="4 independent examples cannot be cut into 5 folds"):
        fit_token_temperature(made_up(40, 0)[0], np.arange(40) % 4)


@pytest.mark.slow
def test_the_file_comes_back_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    head, _ = fit_token_temperature(made_up(200, 0)[0], np.arange(200))
    save_token_temperature(head, tmp_path)
    hidden = torch.randn(5, WIDTH)
    assert torch.equal(load_token_temperature(tmp_path)(hidden), head(hidden))
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(SafetensorError):
        load_token_temperature(tmp_path)


def test_what_is_kept_of_the_logits_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small logits as one group: exact at temperature 1, close at others."""
    monkeypatch.setattr("calibration_tuning.lm.token_temperature.KEPT", 20)
    torch.manual_seed(0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
    torch.nn.init.normal_(head.weight)
    model: Any = SimpleNamespace(
        get_output_embeddings=lambda: head, config=SimpleNamespace(get_text_config=lambda: SimpleNamespace())
    )
    hidden, targets = torch.randn(300, WIDTH), torch.randint(VOCABULARY, (300,))
    monkeypatch.setattr("calibration_tuning.lm.token_temperature.float32_logits", lambda model, h: head(h).detach())
    continued = Continued(hidden, targets, [[300]])
    reads = together([read_tokens(model, continued, range(100)), read_tokens(model, continued, range(100, 300))])
    logits = head(hidden).detach()
    for scale, tolerance in ((1.0, 1e-5), (0.7, 0.01), (1.5, 0.01)):
        expected = F.cross_entropy(logits * scale, targets)
        assert float(reads.nll(torch.full((300,), scale)).mean()) == pytest.approx(float(expected), abs=tolerance)
