"""YAML in, a validated pydantic model out: every mistake at once, in words, before torch is imported."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from calibration_tuning.errors import UserError
from calibration_tuning.shipped_files import shipped

Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""NumPy takes no larger one."""
P = TypeVar("P", str, Path)


def _is_a_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise ValueError("must be letters, digits, . _ - only, a letter or digit first")
    return text


Name = Annotated[str, AfterValidator(_is_a_name)]
"""A name that can be part of a path."""


def _with_home(path: P) -> P:
    if not str(path).startswith("~"):
        return path
    try:
        return type(path)(Path(path).expanduser())
    except RuntimeError:
        raise ValueError("begins with ~ and names no user's home folder") from None


LocalPath = Annotated[Path, AfterValidator(_with_home)]
"""A path on this machine. `~` is the user's home folder, as no shell expands it in a YAML."""
HubOrPath = Annotated[str, AfterValidator(_with_home)]
"""A name on the hub, or a path as `LocalPath`."""


class Settings(BaseModel):
    """Base of every settings section: unknown keys are errors and values cannot change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)
Y = TypeVar("Y", dict, list)


def load_settings(path: str | Path, overrides: list[str], schema: type[S]) -> S:
    """Read `path`, apply `key.path=value` overrides and validate against `schema`.

    Override values are parsed as YAML, so `training.learning_rate=1e-4` and `questions.0.count=null` have
    the types they look like. A list that is a file of its own (`questions: configs/mixtures/NAME.yaml`) is read where
    an override changes one of its entries. Raises `UserError` naming every wrong field with its value, and the nearest
    valid name of unknown keys.
    """
    values = read_settings(Path(path))
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


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint for a misspelt name: the known one that it abbreviates (`lr`, `learning_rate`) or that abbreviates it
    (`rank`, `r`), the nearest one, or all of them."""
    short = [other for other in known if _initials(other) == name or _initials(name) == other]
    near = short or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _initials(name: str) -> str:
    return "".join(word[:1] for word in name.split("_"))


def read_yaml(path: Path, kind: type[Y]) -> Y:
    """The contents of a YAML file whose top level is a `kind` (dict or list). Raises `UserError` naming the file."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # numbers of 5,000 digits, brackets 1,000 deep
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if values is None:
        raise UserError(f"{path}: the file is empty")
    if not isinstance(values, kind):
        wanted = "sections such as `model:`" if kind is dict else "a list"
        raise UserError(f"{path}: expected {wanted} at the top level, found {type(values).__name__}")
    return values


def read_settings(path: Path) -> dict[str, Any]:
    if shipped(path).is_dir():
        raise UserError(f"{path}: is a folder; give a YAML file such as configs/demo.yaml")
    if not shipped(path).is_file():
        raise UserError(f"{path}: no such settings file; pass a YAML file such as configs/demo.yaml")
    return read_yaml(shipped(path), dict)


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"override {override!r}: expected key.path=value, such as training.epochs=2")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        quoted = text.replace("'", "''")
        raise UserError(
            f"override {override!r}: {text!r} is not a YAML value; if it is text, quote it: \"{key}='{quoted}'\""
        ) from None
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
    node[part] = _listed(node[part])
    return node[part]


def _listed(value: Any) -> Any:
    """The list in the YAML file that a setting names; other values as they are."""
    if isinstance(value, str) and value.endswith((".yaml", ".yml")) and shipped(Path(value)).is_file():
        return read_yaml(shipped(Path(value)), list)
    return value


def _index(node: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise UserError(f"override {override!r}: {part!r} is not a position in a list of {len(node)}")
    return int(part)


def _explain(item: Any, schema: type[Settings]) -> str:
    field = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _fields_at(item["loc"][:-1], schema)
        return f"{field}: unknown setting; {nearest(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return f"{field}: missing; this setting has no default"
    value, message, hint = item["input"], item["msg"].removeprefix("Value error, "), ""
    if item["type"] == "model_type":
        message = f"is a section; set one of its fields, such as {field}.{_fields_at(item['loc'], schema)[0]}=..."
    elif item["type"] in ("list_type", "tuple_type"):
        message = "must be a list" + (f", such as [{_shown(value)}]" if isinstance(value, str | int | float) else "")
    elif item["type"] == "literal_error" and isinstance(value, str):
        choices = re.findall("'([^']*)'", item["ctx"]["expected"])
        hint = "".join(f"; did you mean {near!r}?" for near in difflib.get_close_matches(value, choices, n=1))
    return f"{field}: {message} (got {_shown(value)}){hint}" if field else message


def _shown(value: Any) -> str:
    """In short, as a few lines of YAML aliases can stand for gigabytes. A password in a URL must not be repeated on a
    screen that may be logged."""
    if isinstance(value, str):
        return _briefly.repr(_without_password(value))
    return _without_password(_briefly.repr(value))


def _without_password(text: str) -> str:
    return re.sub(r"(//)[^/@\s]+@|(\?)[^'\s]+", r"\1\2***", text)


_briefly = reprlib.Repr()
_briefly.maxlevel, _briefly.maxstring, _briefly.maxother = 2, 200, 200


def _fields_at(loc: tuple[int | str, ...], schema: type[BaseModel]) -> list[str]:
    candidates = [schema]
    for part in loc:
        if isinstance(part, int):
            continue
        if part in candidates[0].model_fields:
            candidates = _models_in(candidates[0].model_fields[part].annotation) or candidates
        else:  # the tag of a union of sections, such as `openai` under `engine`
            candidates = [c for c in candidates if c.model_fields["kind"].default == part]
    return list(candidates[0].model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in getattr(annotation, "__args__", ()) for model in _models_in(arg)]
