"""docs/integrations.md with the real lm-evaluation-harness: its YAML as it stands, a tiny model, a tiny checkpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[3] / "docs/integrations.md").read_text(encoding="utf-8")
COUNT = 16


@pytest.fixture(scope="module")
def samples(
    tiny_run: Path, tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], list[dict[str, Any]], Path]:
    """The harness's results, its samples, and the file that they make."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager
    from lm_eval.utils import handle_non_serializable

    folder = tmp_path_factory.mktemp("harness")
    rows = [{"question": f"What is {n} plus {n}?", "answer": str(2 * n)} for n in range(COUNT)]
    (folder / "capitals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (recipe,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    recipe = recipe.replace("runs/demo", str(tiny_run)).replace("capitals.jsonl}", f"{folder / 'capitals.jsonl'}}}")
    (folder / "capitals.yaml").write_text(recipe)
    results = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(tiny_model_path), "dtype": "float32"},
        tasks=["capitals_calibrated"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        device="cpu",
        log_samples=True,
        bootstrap_iters=0,
    )
    logged = results["samples"]["capitals_calibrated"]
    text = "".join(json.dumps(row, default=handle_non_serializable) + "\n" for row in logged)
    (folder / "samples_capitals_calibrated.jsonl").write_text(text)
    return results["results"]["capitals_calibrated"], logged, folder / "samples_capitals_calibrated.jsonl"


def test_every_sample_has_the_checkpoints_confidence(samples: Any, tiny_run: Path) -> None:
    from calibration_tuning import CalibratedModel

    _, logged, _ = samples
    assert len(logged) == COUNT
    questions = [row["doc"]["question"] for row in logged]
    answers = [row["resps"][0][0].strip() for row in logged]
    expected = CalibratedModel.from_pretrained(tiny_run, device="cpu").confidence_batch(questions, answers)
    assert [row["confidence"] for row in logged] == pytest.approx(expected, abs=1e-6)


def test_results_are_the_metrics_of_the_samples(samples: Any) -> None:
    from calibration_tuning.metrics import point_metrics
    from evaluation.score_files import read_pairs

    results, _, file = samples
    pairs = read_pairs(file, "confidence", "correct", None)  # what `score FILE` reads
    expected = point_metrics(pairs.confidence, pairs.correct, only=("brier", "ece", "mean_confidence", "accuracy"))
    names = {"brier": "brier", "ece": "ece", "confidence": "mean_confidence", "correct": "accuracy"}
    for theirs, ours in names.items():
        assert results[f"{theirs},calibrated"] == pytest.approx(expected[ours]), theirs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grader": "guess"}, "grader 'guess': not a grader; known: exact"),
        ({"question": "{{ quest }}"}, "document 0: .*'quest' is undefined"),
        ({"checkpoint": "nowhere"}, "nowhere: neither a checkpoint folder nor a repository"),
    ],
)
def test_wrong_settings_are_one_sentence(changes: dict[str, str], message: str, tiny_run: Path) -> None:
    from calibration_tuning.errors import UserError
    from calibration_tuning.integrations.lm_eval import WithConfidence

    settings = {"checkpoint": str(tiny_run), "question": "{{ question }}", "references": "{{ answer }}"} | changes
    with pytest.raises(UserError, match=message):
        WithConfidence(**settings).apply([["4"]], [{"question": "What is 2 plus 2?", "answer": "4"}])


def test_answers_are_graded_by_references(tiny_run: Path) -> None:
    from calibration_tuning.integrations.lm_eval import WithConfidence

    judge = WithConfidence(str(tiny_run), "{{ q }}", "{{ accepted }}", context="{{ passage }}")
    docs = [{"q": "Who?", "accepted": ["Ann", "Ann Lee"], "passage": "Ann Lee keeps it."}] * 3
    judged = judge.apply([[" Ann Lee\n"], ["ann"], ["Bob"]], docs)
    assert [row["correct"] for row in judged] == [1.0, 1.0, 0.0]
    assert judged[0]["text"] == "Ann Lee"


def test_choices_are_refused(tiny_run: Path) -> None:
    from calibration_tuning.errors import UserError
    from calibration_tuning.integrations.lm_eval import WithConfidence

    loglikelihoods: Any = [[(-1.0, True)]]
    with pytest.raises(UserError, match="output_type generate_until"):
        WithConfidence(str(tiny_run), "{{ q }}", "{{ a }}").apply(loglikelihoods, [{"q": "Who?", "a": "Ann"}])
