"""docs/integrations.md with the real lm-evaluation-harness: its YAML as it stands, a tiny model, a tiny checkpoint."""

from __future__ import annotations

import json
import math
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
        ({"checkpoint": "nowhere"}, "nowhere: no such folder here, and it could not be fetched"),
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


def judge(tiny_run: Path, **templates: str) -> Any:
    from calibration_tuning.integrations.lm_eval import WithConfidence

    return WithConfidence(str(tiny_run), **{"question": "{{ q }}", "references": "{{ a }}"} | templates)


def test_references_are_read_as_curation_reads_them(tiny_run: Path) -> None:
    struct = {"value": "Paris", "aliases": ["City of Light", None]}
    docs = [{"q": "Where?", "a": a} for a in (struct, struct, struct, [3.0, None], True)]
    judged = judge(tiny_run).apply([["Paris"], ["City of Light"], ["None"], ["3"], ["yes"]], docs)
    assert [row["correct"] for row in judged] == [1, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("doc", "message"),
    [
        ({"q": "Who?", "a": None}, "document 1, references: is empty"),
        ({"q": "Who?", "a": ["", None]}, "document 1, references: is empty"),
        ({"q": "Who?", "a": {"x": 1}}, "document 1, references: is .*; name one in the template"),
        ({"q": None, "a": "Ann"}, "document 1, question: is empty"),
        ({"q": ["Who?"], "a": "Ann"}, "document 1, question: is .*, not text"),
    ],
)
def test_a_document_without_question_or_answer_is_named(tiny_run: Path, doc: dict[str, Any], message: str) -> None:
    from calibration_tuning.errors import UserError

    with pytest.raises(UserError, match=message):
        judge(tiny_run).apply([["Ann"]] * 2, [{"q": "Who?", "a": "Ann"}, doc])


def test_a_document_that_does_not_fit_has_no_confidence(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from calibration_tuning.integrations.lm_eval import scores

    docs = [{"q": "Who? " * length, "a": "Ann"} for length in (1, 5000, 1, 5000)]
    judged = judge(tiny_run).apply([["Ann"]] * 4, docs)
    assert [len(scores(doc, [row])) for doc, row in zip(docs, judged, strict=True)] == [4, 0, 4, 0]
    assert [math.isnan(row["confidence"]) for row in judged] == [False, True, False, True]
    assert [row["correct"] for row in judged] == [1.0] * 4
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert "2 of 4 documents have no confidence and count in no metric; document 1: question: takes " in said
    (alone,) = judge(tiny_run).apply([["Ann"]], docs[1:2])
    assert math.isnan(alone["confidence"])


def test_a_checkpoint_that_is_not_there_is_noticed_before_anything_is_judged(tmp_path: Path) -> None:
    from calibration_tuning.errors import UserError

    with pytest.raises(UserError, match=r"calibration\.json: does not exist"):
        judge(tmp_path)


def test_choices_are_refused(tiny_run: Path) -> None:
    from calibration_tuning.errors import UserError
    from calibration_tuning.integrations.lm_eval import WithConfidence

    loglikelihoods: Any = [[(-1.0, True)]]
    with pytest.raises(UserError, match="output_type generate_until"):
        WithConfidence(str(tiny_run), "{{ q }}", "{{ a }}").apply(loglikelihoods, [{"q": "Who?", "a": "Ann"}])
