"""What the pages name is there: paths, modules and registries."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from calibration_tuning.config.reference import page as page_of_settings
from evaluation.schema import json_schema

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FOLDERS = ("calibration_tuning", "data_curation", "training", "evaluation", "publishing", "configs", "launch")
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)}|benchmarks|tests|docs)/[\w./-]+)`")
MODULE = re.compile(rf"(?:`|-m )((?:{'|'.join(FOLDERS[:5])})(?:\.[a-z_]+)+)")
WRITTEN = {".parquet", ".jsonl", ".json", ".html"}
"""Endings of files that a run writes."""
LINK = re.compile(r"\]\(([\w./-]+)(?:#[\w-]+)?\)")
ANCHOR = re.compile(r"\]\(([\w./-]*\.md)?#([\w-]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_links_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    paths = [path for path in PATH.findall(text) if "NAME" not in path and Path(path).suffix not in WRITTEN]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sections_that_links_name_exist(page: Path) -> None:
    missing = []
    for file, anchor in ANCHOR.findall(page.read_text(encoding="utf-8")):
        other = page.parent / file if file else page
        headings = map(_anchor, HEADING.findall(other.read_text(encoding="utf-8")))
        if anchor not in headings:
            missing.append(f"{file}#{anchor}")
    assert missing == []


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, punctuation left out, spaces as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_exist(page: Path) -> None:
    names = {name for name in MODULE.findall(page.read_text(encoding="utf-8")) if Path(name).suffix not in WRITTEN}
    missing = [name for name in names if not _exists(name)]
    assert missing == []


def _exists(name: str) -> bool:
    """A module, or a name in one. Settings such as `training.epochs` are keys of a run's YAML."""
    head, _, last = name.rpartition(".")
    if _is_setting(name):
        return True
    return _is_module(name) or (_is_module(head) and last in (find_source(head) or ""))


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def find_source(module: str) -> str | None:
    spec = find_spec(module)
    return Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else None


def _is_setting(name: str) -> bool:
    from calibration_tuning.config.run import RunConfig

    section, _, key = name.partition(".")
    field = RunConfig.model_fields.get(section)
    return field is not None and key.partition(".")[0] in field.annotation.model_fields  # type: ignore[union-attr]


def test_the_readmes_tree_is_the_tree() -> None:
    """Each entry lies under the last entry that is indented less."""
    (tree,) = re.findall(r"## Where things are\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    parents: list[tuple[int, Path]] = [(-1, ROOT)]
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent > 4:  # the second line of a description
            continue
        while parents[-1][0] >= indent:
            parents.pop()
        names = line.strip().split("  ")[0].split(", ")
        entries = [name for name in names if re.fullmatch(r"[\w.]+/|[\w.]+\.(?:py|md|yaml)", name)]
        assert entries, line
        for name in entries:
            assert (parents[-1][1] / name).exists(), f"{parents[-1][1].name}/{name}"
        parents.append((indent, parents[-1][1] / entries[0]))


def test_registries_that_contributors_are_told_of_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = {name for name in re.findall(r"`([A-Z][A-Z_]+)`", text) if name not in {"NAME"}}
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in (*FOLDERS, "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    )
    assert len(names) > 10
    assert [name for name in sorted(names) if not re.search(rf"^{name}\b", sources, re.MULTILINE)] == []


def test_the_page_of_settings_is_that_of_the_settings() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == page_of_settings(), (
        "run python -m calibration_tuning.config.reference"
    )


def test_every_setting_has_a_meaning() -> None:
    lines = page_of_settings().splitlines()
    rows = [line for line in lines if line.startswith("| `") and not line.startswith("| `kind`")]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_published_schema_is_that_of_the_records() -> None:
    published = json.loads((ROOT / "docs/metrics.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(), "run python -m evaluation.schema"
