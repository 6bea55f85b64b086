"""`TrainerMetrics` in a real Trainer, batch by batch and all at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from calibration_tuning.metrics import TokenCalibration, TrainerMetrics


def batch(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [rows, 6, 8] and labels, some of them left out."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(8, (rows, 6), generator=generator)
    labels[:, 0] = -100
    labels[0, 3] = -100
    return torch.randn(rows, 6, 8, generator=generator), labels


def prediction(logits: Any, labels: Any) -> Any:
    return SimpleNamespace(predictions=logits, label_ids=labels)


def expected(*batches: tuple[torch.Tensor, torch.Tensor]) -> dict[str, float | None]:
    tokens = TokenCalibration()
    for logits, labels in batches:
        for row, targets in zip(logits, labels, strict=True):
            for position in range(1, 6):
                if targets[position] >= 0:
                    tokens.update(row[position - 1 : position], targets[position : position + 1])
    return tokens.compute()


def test_batches_add_up_and_the_next_evaluation_begins_anew() -> None:
    first, second = batch(3, 0), batch(2, 1)
    metrics = TrainerMetrics()
    for _ in range(2):
        assert metrics(prediction(*first), compute_result=False) == {}
        numbers = metrics(prediction(*second), compute_result=True)
        wanted = expected(first, second)
        assert numbers.pop("tokens") == wanted["n"] == 5 * 5 - 2
        assert numbers == pytest.approx({name: wanted[name] for name in numbers}, abs=1e-9)
        assert set(numbers) == {"full_ece", "vocabulary_brier", "nll", "top1_ece", "accuracy"}


def test_arrays_and_tuples_are_read() -> None:
    logits, labels = batch(3, 0)
    numbers = TrainerMetrics()(prediction((logits.numpy(), np.zeros(3)), labels.numpy()))
    assert numbers["full_ece"] == pytest.approx(expected((logits, labels))["full_ece"])


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \[B, T, K\] and \[B, T\]"):
        TrainerMetrics()(prediction(torch.zeros(3, 8), torch.zeros(3)))


@pytest.mark.slow
@pytest.mark.parametrize("by_batch", [True, False])
def test_a_trainer_logs_it(tiny: Any, tmp_path: Path, by_batch: bool) -> None:
    from transformers import Trainer, TrainingArguments

    model, _ = tiny
    rows = [{"input_ids": ids, "labels": ids} for ids in torch.randint(3, 200, (6, 10)).tolist()]
    arguments = TrainingArguments(
        str(tmp_path), per_device_eval_batch_size=2, batch_eval_metrics=by_batch, report_to="none", use_cpu=True
    )
    trainer = Trainer(model, arguments, eval_dataset=rows, compute_metrics=TrainerMetrics())  # type: ignore[arg-type]
    numbers = trainer.evaluate()
    assert numbers["eval_tokens"] == 6 * 9
    # The model's own loss is over the same positions.
    assert numbers["eval_nll"] == pytest.approx(numbers["eval_loss"], abs=1e-4)
    assert 0 <= numbers["eval_full_ece"] <= 1
