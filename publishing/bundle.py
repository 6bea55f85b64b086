"""A `Bundle` holds the files of a run that are published. `collect` checks that they belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from calibration_tuning.checkpoint import ADAPTER_CONFIG, FILE, CalibrationRecord, read_record
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.config.training import Method
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.errors import UserError, reason
from calibration_tuning.lm.pypi_source import PYPI
from calibration_tuning.runs.checksums import SUMS, sums
from calibration_tuning.runs.files import read_json, sha256_file
from calibration_tuning.thresholds import FILE as THRESHOLDS
from calibration_tuning.thresholds import read_thresholds
from evaluation.schema import Metrics, read_metrics

CHECKPOINT = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt")
PLOTS = "plots"
METRICS = "evaluation/metrics.json"


@dataclass(frozen=True)
class Bundle:
    run: Path
    config: RunConfig
    record: CalibrationRecord
    metrics: Metrics
    manifest: Mapping[str, Any]
    base_model: str
    """The base model that users load: the run's `model.path`, or the name given with `--base-model`."""
    base_commit: str | None = None
    """The hub's newest commit of a model given with `--base-model`, which is what users will load."""

    @property
    def training(self) -> Mapping[str, Any]:
        """The settings that the checkpoint was trained with. Those of a stage that ran later may differ."""
        settings = self.config.training.model_dump(mode="json") | {"seed": self.config.training_seed}
        return self.record.training or settings

    @property
    def demonstrations(self) -> int:
        """How many of the user's questions `calibration.json` shows, with their passages and answers."""
        return len({shown.question for shown in (*self.record.query_few_shot, *self.record.answer_few_shot)})

    def files(self) -> dict[str, Path | bytes]:
        """Return contents by path in the repository. The report is not uploaded, because it contains your questions.
        `calibration.json` contains some of them as well: the demonstrations, with their passages and answers.
        """
        checkpoint, evaluation = self.run / "checkpoint", self.run / "evaluation"
        contents: dict[str, Path | bytes] = {
            path.name: path for pattern in CHECKPOINT for path in sorted(checkpoint.glob(pattern))
        }
        contents |= {f"{PLOTS}/{path.name}": path for path in sorted((evaluation / "plots").glob("*.png"))}
        contents[METRICS] = evaluation / "metrics.json"
        if self.base_model != self.record.model.path:
            model = self.record.model.model_copy(update={"path": self.base_model, "revision": self.base_commit})
            record = self.record.model_copy(update={"model": model, "base_files": {}})
            contents[FILE] = _json(record.model_dump(mode="json"))
            if ADAPTER_CONFIG in contents:
                adapter = read_json(checkpoint / ADAPTER_CONFIG, "calibration-tuning train CONFIG")
                contents[ADAPTER_CONFIG] = _json(adapter | {"base_model_name_or_path": self.base_model})
        summed = sorted(name for name in contents if "/" not in name and not name.endswith(".png"))
        contents[SUMS] = sums({name: _digest(contents[name]) for name in summed}).encode()
        return contents


def is_of_a_published_kind(name: str) -> bool:
    """True for the path of a file in a repository that an earlier `Bundle` may have put there."""
    folder, _, file = name.rpartition("/")
    if folder:
        return name == METRICS or (folder == PLOTS and file.endswith(".png"))
    # A text file may be somebody's licence, and no loader misses one that is too many.
    return name == SUMS or any(fnmatch(name, pattern) for pattern in CHECKPOINT if pattern != "*.txt")


def collect(run: Path, base_model: str | None = None) -> Bundle:
    """Read an evaluated run. Raises `UserError` if a file is missing, or if its files do not belong together."""
    if not (run / "config.yaml").is_file():
        raise UserError(f"{run}: not the folder of a run (no config.yaml); give a folder such as runs/demo")
    config = load_run_config(run / "config.yaml", [])
    record = read_record(run / "checkpoint")
    metrics = read_metrics(run / "evaluation" / "metrics.json")
    if not (run / "evaluation" / "run.json").is_file():
        raise UserError(f"{run / 'evaluation'}: is not finished; run `calibration-tuning evaluate CONFIG` again")
    curated = CuratedSet.read(config.curated or run / "curation")
    _belong_together(run, curated, record, metrics)
    _weights(run / "checkpoint", record)
    base = base_model or record.model.path
    commit = None if base == record.model.path or base.startswith(PYPI) else _newest_commit(base)
    return Bundle(run, config, record, metrics, curated.manifest, base, commit)


def _newest_commit(base_model: str) -> str | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        return HfApi().model_info(base_model).sha
    except (HFValidationError, HTTPError, OSError) as error:
        raise UserError(f"--base-model {base_model}: cannot be found on the hub ({reason(error)}); check it") from None


def _belong_together(run: Path, curated: CuratedSet, record: CalibrationRecord, metrics: Metrics) -> None:
    evaluated = "calibration-tuning evaluate CONFIG --force"
    if metrics.inputs_fingerprint != record.inputs_fingerprint:
        raise UserError(
            f"{run / 'evaluation'}: was made from another checkpoint than {run / 'checkpoint'}; run `{evaluated}`"
        )
    if curated.fingerprint != record.curation_fingerprint:
        raise UserError(f"{run / 'checkpoint'}: was trained on another curated set than {curated.folder}; train again")
    for split, digest in record.splits_sha256.items():
        path = curated.folder / f"{split}.parquet"
        if not path.is_file() or sha256_file(path) != digest:
            raise UserError(f"{path}: is not the file that the checkpoint was made from; curate and train again")
    if read_thresholds(run / "checkpoint", record.inputs_fingerprint) is None:
        raise UserError(f"{run / 'checkpoint' / THRESHOLDS}: does not exist; run `{evaluated}`")


def _weights(checkpoint: Path, record: CalibrationRecord) -> None:
    from safetensors import SafetensorError, safe_open

    names: dict[Method, tuple[str, ...]] = {
        "lora_prompt": ("adapter_model",),
        "lora_probe": ("adapter_model", "probe"),
        "probe": ("probe",),
        "none": (),
    }
    for name in names[record.method]:
        path = checkpoint / f"{name}.safetensors"
        try:
            with safe_open(path, framework="numpy") as file:
                tensors = list(file.keys())
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: not a readable safetensors file ({error}); train again with --force") from None
        if not tensors:
            raise UserError(f"{path}: holds no weights; train again with --force")


def _digest(content: Path | bytes) -> str:
    return sha256_file(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
