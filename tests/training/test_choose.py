"""Choosing between trained settings on the validation split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from calibration_tuning.errors import UserError
from training.choose import Trial, _main, chosen, rate, read_trial

N = 64
ANSWERS = ([f"q{i}" for i in range(N)], [f"g{i // 2}" for i in range(N)], [0.0] * N)


def trial(name: str, loss: np.ndarray, size: int = 1) -> Trial:
    return Trial(name, loss, size, ANSWERS)


def test_the_standard_error_is_paired_and_over_groups_by_hand() -> None:
    # Two groups, of changes (+0.3, +0.1) and (0, 0): mean 0.1; sums of deviations +0.2 and -0.2.
    # sqrt(2 / 1 * (0.04 + 0.04)) / 4 = 0.1.
    answers = (["a", "b", "c", "d"], ["g", "g", "h", "h"], [0.0] * 4)
    best, other = (
        Trial(name, np.array(loss), 1, answers) for name, loss in (("x", [0.0] * 4), ("y", [0.3, 0.1, 0, 0]))
    )
    rated = rate([other, best])
    assert [entry.trial.name for entry in rated] == ["x", "y"]
    assert rated[1].difference == pytest.approx(0.1)
    assert rated[1].standard_error == pytest.approx(0.1)


def test_the_smallest_within_one_standard_error_is_taken() -> None:
    generator = np.random.default_rng(0)
    base = generator.random(N)
    noise = generator.normal(scale=0.05, size=N)
    noise -= noise.mean()
    best, near, far = base, base + noise + 0.001, base + noise + 0.05
    rated = rate([trial("best", best, 30), trial("near", near, 10), trial("far", far, 1)])
    assert [entry.is_as_good for entry in rated] == [True, True, False]
    assert chosen(rated).trial.name == "near"


def test_a_difference_common_to_all_answers_is_no_noise() -> None:
    # Unpaired, 64 such losses have a standard error of 0.036; paired, a constant change has none.
    base = np.random.default_rng(0).random(N)
    rated = rate([trial("best", base, 30), trial("worse", base + 0.01, 1)])
    assert chosen(rated).trial.name == "best"


def test_runs_of_other_sets_are_refused() -> None:
    other = Trial("other", np.ones(N), 1, (["x"] * N, ANSWERS[1], ANSWERS[2]))
    with pytest.raises(UserError, match="have different validation answers"):
        rate([trial("one", np.zeros(N)), other])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "validation.json").write_text(json.dumps({"id": ["a"]}))
    with pytest.raises(UserError, match=r"validation\.json: is damaged"):
        read_trial(tmp_path)


def test_training_keeps_the_scores_of_the_kept_checkpoint(tiny_run: Path) -> None:
    record = json.loads((tiny_run / "checkpoint" / "calibration.json").read_text())
    read = read_trial(tiny_run)
    assert len(read.loss) == 8
    assert read.loss.mean() == pytest.approx(record["selected"]["brier"])
    assert read.size == (tiny_run / "checkpoint" / "adapter_model.safetensors").stat().st_size


def test_the_score_is_said_to_be_the_querys(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _main([tiny_run])
    assert "Validation Brier score of the tuned query on 8 answers" in capsys.readouterr().out


def test_what_is_fitted_after_training_does_not_count_as_trained(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run / "checkpoint", tmp_path / "checkpoint")
    shutil.copy(tiny_run / "validation.json", tmp_path)
    (tmp_path / "checkpoint" / "readout.safetensors").write_bytes(bytes(1000))
    assert read_trial(tmp_path).size == read_trial(tiny_run).size
