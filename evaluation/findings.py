"""The findings of the passes, on disk: one folder for each pass and everything that its findings depend on.

A new report with other confidences, error rates or resamples asks the model nothing again. Another checkpoint, curated
set, precision, number of bins or version of code or libraries repeats only the passes that it changes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from calibration_tuning.checkpoint import deciding_files
from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.training import ADAPTED, Method
from calibration_tuning.errors import RunError
from calibration_tuning.lm.models import dtype_name
from calibration_tuning.readout.stacked import StackedReadout
from calibration_tuning.records import GradedAnswer
from calibration_tuning.runs.files import fingerprint, sha256_file
from calibration_tuning.runs.journal import Journal
from calibration_tuning.runs.processes import process_index
from calibration_tuning.runs.source_code import source_fingerprint
from evaluation.passes import PASSES
from evaluation.passes.base import BOTH, Finding, State

T = TypeVar("T")
PACKAGES = ("torch", "transformers", "peft", "math-verify", "rapidfuzz")
"""The last two grade what passes let the model write."""
PASSES_MODULE = "evaluation.passes"
"""What this module imports decides what a pass finds, kernels and graders included."""


@dataclass(frozen=True)
class Findings:
    """The findings by pass, then by `key`."""

    values: Mapping[str, Mapping[str, Finding]]
    method: Method
    readout: StackedReadout | None = None
    """The checkpoint's stacked readout, if it has one."""
    training: Sequence[GradedAnswer] = ()
    """The training answers that the passes over hidden states have looked at."""

    def of(self, name: str, state: State, row: GradedAnswer) -> Finding | None:
        """None where the pass did not look at the row."""
        return self.values.get(name, {}).get(self._key(name, state, row))

    def need(self, name: str, state: State, row: GradedAnswer) -> Finding:
        """Raises `RunError` naming pass and row where the pass did not look at the row."""
        finding = self.of(name, state, row)
        if finding is None:
            raise RunError(
                f"evaluating: pass {name} ({state} tuning) has not looked at {row.id} of {row.source}; run the same "
                "command again"
            )
        return finding

    def each(
        self, name: str, state: State, rows: Mapping[int, GradedAnswer], read: Callable[[Finding], T]
    ) -> Mapping[int, T]:
        """Return `read` of the findings about each row that the pass looked at, by the rows' numbers.

        A value is read when it is looked up and is not cached, because the findings about all rows may be large.
        """
        by_key = self.values.get(name, {})
        keys = {number: place for number, row in rows.items() if (place := self._key(name, state, row)) in by_key}
        return _WhenAsked(keys, lambda place: read(by_key[place]))

    def _key(self, name: str, state: State, row: GradedAnswer) -> str:
        return key(state if state in states_of(name, self.method) else "before", row)


class _WhenAsked(Mapping[int, T]):
    def __init__(self, keys: Mapping[int, str], read: Callable[[str], T]) -> None:
        self._keys, self._read = keys, read

    def __getitem__(self, number: int) -> T:
        return self._read(self._keys[number])

    def __contains__(self, number: object) -> bool:
        return number in self._keys

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def key(state: State, row: GradedAnswer) -> str:
    return f"{state}/{row.source}/{row.id}"


def states_of(name: str, method: Method) -> tuple[State, ...]:
    """The states that a pass runs in. Methods without an adapter leave the model unchanged. So only passes that read a
    trained probe have `after`."""
    states = PASSES[name].states
    if states != BOTH or method in ADAPTED:
        return states
    return BOTH if method == "probe" and PASSES[name].reads_probe else ("before",)


def journals(config: RunConfig, names: Iterable[str]) -> dict[str, Journal]:
    """This process's journal of each pass."""
    folder = config.findings_dir
    return {name: Journal(folder / f"{name}-{identity(config, name)}", f"{process_index()}") for name in names}


def drop_outdated(folder: Path, journals_in_use: Mapping[str, Journal]) -> None:
    """Delete the findings of these passes under other checkpoints, settings or code."""
    for name, journal in journals_in_use.items():
        for other in folder.glob(f"{name}-*"):
            if other != journal.folder:
                shutil.rmtree(other)


def identity(config: RunConfig, name: str) -> str:
    """Hash of everything that the findings of a pass depend on, except for the rows, which the checkpoint names."""
    return fingerprint(
        [
            [
                sha256_file(path)
                for path in (config.curation_dir / "few_shot.json", *deciding_files(config.checkpoint_dir))
            ],
            PASSES[name].settings(config.evaluation),
            dtype_name(config.model.dtype),  # `auto` is another one on another machine
            [config.curation.cloze, config.curation.temperature, config.curation.max_new_tokens, config.seed],
            source_fingerprint(PASSES_MODULE),
            {package: version(package) for package in PACKAGES},
        ]
    )
