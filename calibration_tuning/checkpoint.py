"""A tuned checkpoint: an adapter, its tokenizer, and how its confidence is read (`calibration.json`)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.questions import Cloze
from calibration_tuning.config.training import ADAPTED, WITHOUT_PROBE, Method
from calibration_tuning.errors import UserError, first_problem, reason
from calibration_tuning.lm.identity import base_files
from calibration_tuning.lm.models import dtype_name, load_model, load_tokenizer
from calibration_tuning.lm.probe import Probe, load_probe
from calibration_tuning.lm.prompts import NO, QUERY, YES, PromptFormat, load_prompt_format
from calibration_tuning.lm.token_temperature import TokenTemperature, load_token_temperature
from calibration_tuning.metrics.calibrators import AnyCalibrator
from calibration_tuning.readout.stacked import StackedReadout, StackedRecord, load_readout
from calibration_tuning.records import Demonstration
from calibration_tuning.runs.checksums import SUMS, check_sums
from calibration_tuning.runs.files import read_json

FILE = "calibration.json"
WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
TOKENIZER = "tokenizer_config.json"
MADE_BY = "calibration-tuning train CONFIG"
OTHER_MODEL = f"the checkpoint is damaged or belongs to another model; make it again with `{MADE_BY}`"
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt", "*.md", "*.png", SUMS]
"""Of a hub repository; nothing in them is code."""


class CalibrationRecord(BaseModel):
    """Contents of `calibration.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[3] = 3
    model: ModelSettings
    """As in training. The revision of a model on the hub is the commit that it was trained on."""
    base_files: dict[str, str]
    """Hashes of the base model's weights and configurations (`lm/identity.py`) where it is a folder; else empty."""
    method: Method = "lora_prompt"
    prompt_style: str
    query: str = QUERY
    answers: dict[str, str] = {"no": NO, "yes": YES}
    answer_tokens: tuple[int, int]
    """Token ids of (no, yes)."""
    query_few_shot: list[Demonstration]
    """The block before every uncertainty query, in training and in use."""
    answer_few_shot: list[Demonstration]
    """A block for answering questions of any kind."""
    has_conversations: bool = False
    """True if some of the calibration split's questions have earlier turns."""
    max_new_tokens: int
    """The longest answer that a set it was trained on may have."""
    multiline: bool = False
    """True if answers of a set that it was trained on may have several lines."""
    cloze: Cloze = "per_character"
    """How curation picked among choices by their likelihoods, and how the loaded model does."""
    readout: StackedRecord | None = None
    """None where the confidence is that of the query alone."""
    calibrator: AnyCalibrator
    """For answers that are read after examples of their own kind, as in curation."""
    calibrator_as_loaded: AnyCalibrator | None = None
    """For answers that are read after `answer_few_shot`, as a loaded checkpoint reads them. None where the readout does
    not read answers, or the checkpoint is of an earlier version; then `calibrator` is for all."""
    calibrated_on: dict[str, float]
    """n, and the calibration split's NLL without and with the calibrator."""
    calibrated_in: str | None = None
    """Precision of the model behind these numbers, which `dtype: auto` leaves to the machine ("float32"). None in
    checkpoints from before this was kept."""
    token_temperature: dict[str, float] | None = None
    """Of the adaptive token temperature: positions it was fitted on, penalty, cross-validated NLL without and with it.
    None where there is none."""
    selected: dict[str, float] = {}
    """The optimizer step whose weights these are, and their score on the validation split."""
    validation: list[dict[str, float]] = []
    """Scores of the validation split over training, step 0 being the model as it came."""
    inputs_fingerprint: str
    curation_fingerprint: str
    splits_sha256: dict[str, str] = {}
    """Of the curated files: what was trained on, selected by and calibrated on."""
    versions: dict[str, str]
    training: dict[str, Any] = {}
    """The settings under `training` that it was made with, and its seed. Empty in checkpoints from before this was
    kept."""


def checkpoint_folder(path_or_repo: str | Path, revision: str | None = None) -> Path:
    """The folder itself, or that of the checkpoint in a run's folder, or of the hub repository in the user's cache."""
    folder = Path(path_or_repo)
    if folder.exists():
        if revision is not None:
            raise UserError(f"revision: {revision!r}, but {folder} is a folder, which has none; leave it out")
        is_run = not (folder / FILE).is_file() and (folder / "checkpoint" / FILE).is_file()
        return folder / "checkpoint" if is_run else folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(path_or_repo), revision=revision, allow_patterns=HUB_FILES))
    except (HFValidationError, HTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{path_or_repo}: no such folder here, and it could not be fetched from the hub ({reason(error)}); run "
            "`calibration-tuning run CONFIG` first, or check the name"
        ) from None


def deciding_files(folder: Path) -> list[Path]:
    """Those of a checkpoint that decide what it says: its numbers and its weights."""
    return [folder / FILE, *sorted(folder.glob("*.safetensors"))]


def read_record(folder: Path) -> CalibrationRecord:
    """Raises `UserError` where the file is missing, broken, or of a query this version does not ask."""
    path = folder / FILE
    values = read_json(path, MADE_BY)
    check_sums(folder, MADE_BY)
    try:
        record = CalibrationRecord.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}{first_problem(error)}; the checkpoint is damaged or of another version") from None
    if record.query != QUERY:
        raise UserError(f"{path}, query: was trained on another query than this version asks; use the version it names")
    return record


@dataclass(frozen=True)
class Checkpoint:
    """A tuned model (adapter on, evaluation mode), how it is asked, and how its confidence is read."""

    model: Any
    prompt_format: PromptFormat
    record: CalibrationRecord
    probe: Probe | None
    """The head that reads the query's verdict, for the methods that have one."""
    readout: StackedReadout | None = None
    """What makes the confidence of the query and other signals; None where it is the query's."""
    token_temperature: TokenTemperature | None = None
    """By which the untuned model's token logits are divided; None where they are taken as they are."""

    def to(self, device: Any) -> Checkpoint:
        return replace(self, model=self.model.to(device), probe=self.probe and self.probe.to(device))


def load_checkpoint(
    folder: Path,
    base: Any = None,
    trust_remote_code: bool = False,
    changes: Mapping[str, Any] | None = None,
    record: CalibrationRecord | None = None,
    device: torch.device | None = None,
) -> Checkpoint:
    """The checkpoint in `folder`, on `device`, by default the CPU.

    `base` is an already loaded base model. Without it the model named in the record is loaded, with `changes` to how it
    was loaded for training. `record` is what `read_record(folder)` gave, so that files are not hashed twice.

    Whether code that comes with that model may run is the caller's decision, never that of a downloaded record. Raises
    `UserError` where files are missing, damaged, or of another model.
    """
    record = record or read_record(folder)
    wanted = {**record.model.model_dump(), **(changes or {}), "trust_remote_code": trust_remote_code}
    try:
        record = record.model_copy(update={"model": ModelSettings.model_validate(wanted)})
    except ValidationError as error:
        raise UserError(f"{folder}{first_problem(error)}") from None
    if "dtype" not in (changes or {}):
        _compare_precision(record)
    if base is None:
        _compare_base(folder, record)
    prompt_format = read_prompt_format(folder, record)
    if prompt_format.answer_tokens != record.answer_tokens:
        raise UserError(
            f"{folder / FILE}, answer_tokens: {record.answer_tokens}, but the tokenizer gives "
            f"{prompt_format.answer_tokens}; the checkpoint belongs to another model"
        )
    model = base if base is not None else load_model(record.model, device)
    if record.method in ADAPTED:
        model = _with_adapter(model, folder, record.model.path)
    probe = None if record.method in WITHOUT_PROBE else _probe(model, folder)
    readout, temperature = _readout(record, folder), _token_temperature(record, folder)
    checkpoint = Checkpoint(model.eval(), prompt_format, record, probe, readout, temperature)
    return checkpoint if device is None else checkpoint.to(device)


def read_prompt_format(folder: Path, record: CalibrationRecord) -> PromptFormat:
    """How the model of the checkpoint in `folder` is asked: by the tokenizer and the chat template in that folder, as
    those of the base model may have changed since. Where the folder has none, they are the base model's."""
    saved = record.model.model_copy(update={"path": str(folder), "revision": None})
    tokenizer = load_tokenizer(saved) if (folder / TOKENIZER).is_file() else None
    return load_prompt_format(record.model, record.prompt_style, tokenizer)


def _compare_base(folder: Path, record: CalibrationRecord) -> None:
    """Raises `UserError` where the base model is not the one that the checkpoint was trained on."""
    here, then = base_files(record.model), record.base_files
    if changed := sorted(name for name in {*here, *then} if here.get(name) != then.get(name)):
        raise UserError(
            f"{record.model.path}: is not the base model that {folder} was trained on ({changed[0]} is different or "
            "missing); put that model back, or train again"
        )


def _with_adapter(model: Any, folder: Path, base: str) -> Any:
    """The base model with the folder's adapter on it. Raises `UserError` where the adapter does not fit.

    peft itself leaves out tensors that have no place in the model and starts those that are missing at zero, which
    would give the confidence of the untuned model.
    """
    from peft import LoraConfig, PeftModelForCausalLM

    _only_lora(folder)
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            # Any other tensor would take the place of one of the base model's.
            wrong = [name for name in file.keys() if ".lora_" not in name]  # noqa: SIM118  no mapping
        config = LoraConfig.from_pretrained(str(folder))
        config.inference_mode = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers, nothing to act on
            tuned = PeftModelForCausalLM(model, config)
            renamed = getattr(model, "_checkpoint_conversion_mapping", None)
            # peft would take the adapters of all processes through the first GPU.
            loaded = tuned.load_adapter(folder, "default", torch_device="cpu", key_mapping=renamed)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be put on {base} ({reason(error)}); {OTHER_MODEL}") from None
    if wrong := [*wrong, *loaded.missing_keys, *loaded.unexpected_keys]:
        raise UserError(
            f"{path}: does not fit {base} ({len(wrong)} tensors are missing or have no place, such as {wrong[0]}); "
            f"{OTHER_MODEL}"
        )
    return tuned


def _probe(model: Any, folder: Path) -> Probe:
    try:
        probe = load_probe(folder)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: its probe cannot be read ({reason(error)}); {OTHER_MODEL}") from None
    width = model.config.get_text_config().hidden_size
    if probe.width != width:
        raise UserError(
            f"{folder}: its probe reads {probe.width} numbers, but the model has states of {width}; {OTHER_MODEL}"
        )
    return probe


def _compare_precision(record: CalibrationRecord) -> None:
    here = dtype_name(record.model.dtype)
    if record.calibrated_in not in (None, here):
        warnings.warn(
            f"The checkpoint was calibrated in {record.calibrated_in}, and dtype: auto is {here} on this machine: "
            f"confidences may differ by a few hundredths. from_pretrained(dtype={record.calibrated_in!r}) keeps it.",
            RuntimeWarning,
            stacklevel=3,
        )


def _readout(record: CalibrationRecord, folder: Path) -> StackedReadout | None:
    if record.readout is None:
        return None
    try:
        return load_readout(record.readout, folder)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder}: its readout cannot be read ({error}); make it again with `{MADE_BY}`") from None


def _token_temperature(record: CalibrationRecord, folder: Path) -> TokenTemperature | None:
    if record.token_temperature is None:
        return None
    try:
        return load_token_temperature(folder)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(
            f"{folder}: its token temperature cannot be read ({error}); make it again with `{MADE_BY}`"
        ) from None


def _only_lora(folder: Path) -> None:
    """peft would open a pickle where safetensors are missing, and other kinds of adapters name more files, which it
    opens as well."""
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder}: has no {WEIGHTS}; other kinds of weights are not loaded")
    kind = read_json(folder / ADAPTER_CONFIG, MADE_BY).get("peft_type")
    if kind != "LORA":
        raise UserError(f"{folder / ADAPTER_CONFIG}, peft_type: {kind!r}; only LORA is loaded")
