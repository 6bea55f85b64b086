"""After the last step: the post-hoc calibrator and the checkpoint folder."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from calibration_tuning.calibrators import Calibrator, fit
from calibration_tuning.checkpoint import FILE, CalibrationRecord
from calibration_tuning.files import write_json, write_text
from calibration_tuning.progress import progress
from calibration_tuning.records import Demonstration
from calibration_tuning.run_config import RunConfig
from calibration_tuning.scoring import score_answers
from evaluation.confidence_metrics import nll
from training.setup import Inputs

ANSWER_FEW_SHOT = 4


def fit_calibrator(config: RunConfig, model: Any, inputs: Inputs) -> tuple[Calibrator, dict[str, float]]:
    """Fit the calibrator on the calibration split, which nothing else has seen."""
    rows = inputs.splits["calibration"]
    model.eval()
    with progress(len(rows), "calibrating", "examples") as bar:
        scores = score_answers(
            model,
            inputs.prompt_format,
            inputs.few_shot_ids,
            [[*inputs.prompt_format.question_ids(row.text), *row.token_ids] for row in rows],
            2 * config.training.batch_size,
            bar.update,
        )
    correct = np.array([row.correct for row in rows])
    calibrator = fit(config.training.calibrator, scores.logit, correct)
    return calibrator, {
        "n": len(rows),
        "nll_without": nll(scores.confidence, correct),
        "nll_with": nll(calibrator(scores.logit), correct),
    }


def save_checkpoint(
    config: RunConfig,
    folder: Path,
    model: Any,
    inputs: Inputs,
    calibrator: Calibrator,
    calibrated_on: dict[str, float],
    inputs_fingerprint: str,
    curation_fingerprint: str,
) -> None:
    record = CalibrationRecord(
        model=config.model,
        prompt_style=inputs.prompt_format.style,
        answer_tokens=inputs.prompt_format.answer_tokens,
        query_few_shot=inputs.few_shot.query,
        answer_few_shot=_mixed_block(inputs.few_shot.answer),
        max_new_tokens=config.curation.max_new_tokens,
        calibrator=calibrator,
        calibrated_on=calibrated_on,
        inputs_fingerprint=inputs_fingerprint,
        curation_fingerprint=curation_fingerprint,
        versions={p: version(p) for p in ("calibration-tuning", "torch", "transformers", "peft", "accelerate")},
    )
    # The base by its own name, not by the folder of this machine's cache.
    model.peft_config["default"].base_model_name_or_path = config.model.path
    model.save_pretrained(folder, save_embedding_layers=False)
    inputs.prompt_format.tokenizer.save_pretrained(folder)
    write_text(folder / "README.md", _card(config, record))
    write_json(folder / FILE, record.model_dump(mode="json"))


def _mixed_block(by_topic: dict[str, list[Demonstration]]) -> list[Demonstration]:
    """One demonstration from each of a few topics, so that a question of any kind sees the form of an answer."""
    firsts = [demonstrations[0] for demonstrations in by_topic.values() if demonstrations]
    return firsts[:: max(1, len(firsts) // ANSWER_FEW_SHOT)][:ANSWER_FEW_SHOT]


def _card(config: RunConfig, record: CalibrationRecord) -> str:
    return f"""---
library_name: peft
tags: [calibration, uncertainty, calibration-tuning, lora]
---
# {config.name}

LoRA adapter for `{config.model.path}`, tuned with Calibration-Tuning (Kapoor et al. 2024, arXiv 2406.08391) to say how
probable it is that a proposed answer is correct. Confidence calibrator: {record.calibrator.kind}, fitted on
{record.calibrated_on["n"]:.0f} held-out answers.

```python
from calibration_tuning import CalibratedModel

model = CalibratedModel.from_pretrained("PATH_OR_REPO")
print(model.answer("What is the capital of France?"))
```

The adapter loads with plain peft as well; `calibration.json` holds the query, its answer tokens and the calibrator.
"""
