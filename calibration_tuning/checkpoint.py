"""A tuned checkpoint: an adapter, its tokenizer, and `calibration.json`, which says how its confidence is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration_tuning.calibrators import Calibrator
from calibration_tuning.errors import UserError
from calibration_tuning.files import read_json
from calibration_tuning.models import load_model, load_tokenizer
from calibration_tuning.prompts import NO, QUERY, YES, PromptFormat
from calibration_tuning.records import Demonstration
from calibration_tuning.run_config import ModelSettings

FILE = "calibration.json"
MADE_BY = "calibration-tuning train CONFIG"


class CalibrationRecord(BaseModel):
    """Contents of `calibration.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    model: ModelSettings
    prompt_style: str
    query: str = QUERY
    answers: dict[str, str] = {"no": NO, "yes": YES}
    answer_tokens: tuple[int, int]
    """Token ids of (no, yes)."""
    query_few_shot: list[Demonstration]
    """The block before every uncertainty query, in training and in use."""
    answer_few_shot: list[Demonstration]
    """A block for answering questions of any kind."""
    max_new_tokens: int
    calibrator: Calibrator
    calibrated_on: dict[str, float]
    """n, and the calibration split's NLL without and with the calibrator."""
    inputs_fingerprint: str
    curation_fingerprint: str
    versions: dict[str, str]


def read_record(folder: Path) -> CalibrationRecord:
    """Raises `UserError` where the file is missing, broken, or of a query this version does not ask."""
    path = folder / FILE
    values = read_json(path, MADE_BY)
    try:
        record = CalibrationRecord.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}, {field}: {first['msg']}; the checkpoint is damaged or of another version") from None
    if record.query != QUERY:
        raise UserError(f"{path}, query: was trained on another query than this version asks; use the version it names")
    return record


def load_checkpoint(folder: Path, base: Any = None) -> tuple[Any, PromptFormat, CalibrationRecord]:
    """The tuned model (adapter on, evaluation mode), its prompts, and its record.

    `base` is an already loaded base model; without it the model named in the record is loaded.
    """
    from peft import PeftModel

    record = read_record(folder)
    prompt_format = PromptFormat.of(load_tokenizer(record.model), record.prompt_style)
    if prompt_format.answer_tokens != record.answer_tokens:
        raise UserError(
            f"{folder / FILE}, answer_tokens: {record.answer_tokens}, but the tokenizer of {record.model.path} gives "
            f"{prompt_format.answer_tokens}; the checkpoint belongs to another model"
        )
    model = PeftModel.from_pretrained(base if base is not None else load_model(record.model), folder)
    return model.eval(), prompt_format, record
