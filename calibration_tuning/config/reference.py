"""docs/settings.md: every setting of a run with its default and its meaning, from the settings' own docstrings.

`python -m calibration_tuning.config.reference` writes the page again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calibration_tuning.config.run import RunConfig

PAGE = Path("docs/settings.md")
HEAD = """\
# Settings

Every setting of a run's YAML, with its default. `python -m calibration_tuning.config.reference` writes this page from
the docstrings in `calibration_tuning/config/`. On the command line, a setting is `section.name=value`, such as
`training.learning_rate=2e-4` or `questions.0.count=500`. `--print-config` prints all settings of a run.
[curation.md](curation.md), [training.md](training.md) and [evaluation.md](evaluation.md) explain what they do.
"""
Schema = dict[str, Any]


def page() -> str:
    schema = RunConfig.model_json_schema()
    return "\n".join([HEAD, *_section(schema, schema["$defs"], {}, "")])


def _section(section: Schema, known: dict[str, Schema], shown: dict[str, str], path: str) -> Iterator[str]:
    """A table of the settings of one section, and then the sections inside it; `path` is "" for the whole. `shown` has
    the path of each kind of section that the page has already: it is named instead."""
    if path:
        yield f"## `{path}`\n"
    if text := section.get("description"):
        yield f"{_line(text)}\n"
    inside: list[tuple[str, Schema]] = []
    rows = []
    required = section.get("required", [])
    for name, value in section["properties"].items():
        names = _named(value)
        at = f"{path}.{name}" if path else name
        if names and names[0] in shown:
            meaning = f"the settings of `{shown[names[0]]}`"
        else:
            meaning = value.get("description", f"see `{at}` below" if names else "")
            shown |= dict.fromkeys(names, at)
            for section_name in names:
                kind = f" (kind: {known[section_name]['properties']['kind']['const']})" if len(names) > 1 else ""
                inside.append((at + kind, known[section_name]))
        default = "required" if name in required else _default(value, names)
        rows.append(f"| `{name}` | {_type(value)} | {default} | {_line(meaning)} |")
    yield "\n".join(["| setting | values | default | meaning |", "|---|---|---|---|", *rows, ""])
    for at, section_inside in inside:
        yield from _section(section_inside, known, shown, at)


def _named(value: Schema) -> list[str]:
    """The sections that a value is, or is one of, or is a list of."""
    parts = [value, *value.get("anyOf", []), *value.get("oneOf", []), value.get("items", {})]
    return [part["$ref"].removeprefix("#/$defs/") for part in parts if "$ref" in part]


def _type(value: Schema) -> str:
    if parts := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(part) for part in parts))
    if "$ref" in value:
        return "section"
    if "enum" in value or "const" in value:
        return ", ".join(_value(choice) for choice in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}"
    names = {"integer": "integer", "number": "number", "boolean": "`true`, `false`", "string": "text", "null": "`null`"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {value[bound]}" for bound, sign in bounds.items() if bound in value]
    kind = "path" if value.get("format") == "path" else names.get(value.get("type", ""), "any value")
    return ", ".join([kind, *limits])


def _default(value: Schema, names: list[str]) -> str:
    default = value.get("default")
    if names and isinstance(default, dict):
        return f"kind `{default['kind']}`" if "kind" in default else ""
    return _value(default)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
