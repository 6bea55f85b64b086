"""YAML in, a validated pydantic model out: every mistake at once, in words, before torch is imported."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from calibration_tuning.errors import UserError


class Settings(BaseModel):
    """Base of every settings section: unknown keys are errors and values cannot change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


S = TypeVar("S", bound=Settings)


def load_settings(path: str | Path, overrides: list[str], schema: type[S]) -> S:
    """Read `path`, apply `key.path=value` overrides and validate against `schema`.

    Override values are parsed as YAML, so `training.learning_rate=1e-4` and `questions.0.limit=null` mean what
    they say. Raises `UserError` naming every wrong field with its value, and the nearest valid name of unknown keys.
    """
    values = _read_yaml(Path(path))
    for override in overrides:
        _apply_override(values, override)
    return validate(values, schema, where=str(path))


def validate(values: Any, schema: type[S], where: str) -> S:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = [_explain(item, schema) for item in error.errors()]
        raise UserError(
            f"{where}: {len(lines)} wrong setting(s)\n" + "\n".join(f"  {line}" for line in lines)
        ) from None


def to_yaml(settings: Settings) -> str:
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such settings file; pass a YAML file such as configs/demo.yaml")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as `model:` at the top level, found {type(values).__name__}")
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"override {override!r}: expected key.path=value, such as training.epochs=2")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"override {override!r}: {text!r} is not a YAML value") from None
    *parents, last = key.split(".")
    node: Any = values
    for part in parents:
        node = _child(node, part, override)
    if isinstance(node, list):
        node[_index(node, last, override)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise UserError(f"override {override!r}: {'.'.join(parents)} holds a single value, not a section")


def _child(node: Any, part: str, override: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, override)]
    if not isinstance(node, dict):
        raise UserError(f"override {override!r}: {part!r} lies inside a single value, not a section")
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, override: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise UserError(f"override {override!r}: {part!r} is not a position in a list of {len(node)}")
    return int(part)


def _explain(item: Any, schema: type[Settings]) -> str:
    field = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _fields_at(item["loc"][:-1], schema)
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{field}: unknown setting; {hint}"
    if item["type"] == "missing":
        return f"{field}: missing; this setting has no default"
    message = item["msg"].removeprefix("Value error, ")
    return f"{field or 'settings'}: {message} (got {item['input']!r})" if field else message


def _fields_at(loc: tuple[int | str, ...], schema: type[BaseModel]) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = schema.model_fields[part].annotation
        schema = next((a for a in _models_in(annotation)), schema)
    return list(schema.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in getattr(annotation, "__args__", ()) for model in _models_in(arg)]
