"""What is pinned goes with what is asked for."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def needs(extra: str) -> Iterator[Requirement]:
    """Of the project and of one extra, with those of the extras that it names."""
    yield from map(Requirement, PROJECT["dependencies"])
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if requirement.name == PROJECT["name"]:
            for named in requirement.extras:
                yield from needs(named)
        elif requirement.marker is None or requirement.marker.evaluate({"platform_system": "Linux"}):
            yield requirement


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    assert len({canonicalize_name(package) for package, _ in pairs}) == len(pairs), f"{name} pins a package twice"
    return {canonicalize_name(package): version for package, version in pairs}


@pytest.mark.parametrize(("name", "extra"), [("constraints.txt", "dev"), ("constraints-vllm.txt", "vllm")])
def test_every_requirement_is_pinned_within_its_range(name: str, extra: str) -> None:
    pinned = pins(name)
    versions = {str(need): pinned.get(canonicalize_name(need.name)) for need in needs(extra)}
    wrong = {need: version for need, version in versions.items() if not _fits(need, version)}
    assert wrong == {}


def _fits(need: str, version: str | None) -> bool:
    return version is not None and Requirement(need).specifier.contains(version)
