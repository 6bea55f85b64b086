"""The scorer in the real inspect_ai, with its mock model and a tiny checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")
pytestmark = pytest.mark.slow
COUNT = 12


def evaluated(checkpoint: Path, folder: Path, grader: Any, said: list[str], **settings: Any) -> Any:
    """The log of an evaluation in which the mock model says these answers."""
    from inspect_ai import Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import generate

    from calibration_tuning.integrations.inspect_ai import with_confidence

    outputs = [ModelOutput.from_content("mockllm/model", text) for text in said]
    for output in outputs:  # else inspect_ai counts tokens with a file that it downloads
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    pages = [f"Page {n}." if n else None for n in range(len(said))]
    samples = [
        Sample(id=n + 1, input=f"What is {n} plus {n}?", target=str(2 * n), metadata={"page": page})
        for n, page in enumerate(pages)
    ]
    task = Task(
        dataset=samples, solver=generate(), scorer=with_confidence(grader, checkpoint=str(checkpoint), **settings)
    )
    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    (log,) = evaluate(task, model=model, display="none", log_dir=str(folder), max_connections=1, max_samples=1)
    assert log.status == "success", log.error
    return log


@pytest.mark.parametrize("context", [None, "page"])
def test_samples_and_results_have_the_confidence(tiny_run: Path, tmp_path: Path, context: str | None) -> None:
    from inspect_ai.scorer import match

    from calibration_tuning import CalibratedModel
    from calibration_tuning.metrics import point_metrics

    said = [str(2 * n if n % 3 else n + 1) for n in range(COUNT)]
    log = evaluated(tiny_run, tmp_path, match(), said, context=context)
    values = [sample.scores["with_confidence"].value for sample in log.samples]
    correct = [float(n % 3 > 0) for n in range(COUNT)]
    assert [value["correct"] for value in values] == correct
    passages = [f"Page {n}." if context and n else None for n in range(COUNT)]  # the first sample has none
    questions = [f"What is {n} plus {n}?" for n in range(COUNT)]
    model = CalibratedModel.from_pretrained(tiny_run, device="cpu")
    confidence = model.confidence_batch(questions, said, passages)
    assert [value["confidence"] for value in values] == pytest.approx(confidence, abs=1e-6)
    results = {row.name: {name: m.value for name, m in row.metrics.items()} for row in log.results.scores}
    expected = point_metrics(*map(_array, (confidence, correct)), only=("brier", "ece", "accuracy"))
    assert results["with_confidence"]["ece"] == pytest.approx(expected["ece"], abs=1e-6)
    assert results["brier"]["mean"] == pytest.approx(expected["brier"], abs=1e-6)
    assert results["correct"]["mean"] == pytest.approx(expected["accuracy"])


def test_an_unscored_answer_stays_unscored(tiny_run: Path, tmp_path: Path) -> None:
    from inspect_ai.scorer import Score, Target, accuracy, scorer
    from inspect_ai.solver import TaskState

    @scorer(metrics=[accuracy()])
    def moody() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            is_asked = state.output.completion == "?"
            return Score.unscored(reason="refusal") if is_asked else Score(value="C", answer=state.output.completion)

        return score

    log = evaluated(tiny_run, tmp_path, moody(), ["?", *["2"] * (COUNT - 1)])
    results = {row.name: row for row in log.results.scores}
    assert results["correct"].scored_samples == COUNT - 1
    assert results["correct"].metrics["mean"].value == 1.0


def _array(values: list[float]) -> Any:
    import numpy as np

    return np.array(values)
