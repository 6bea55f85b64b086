"""What a temperature on the token logits does to Full-ECE and NLL of reference answers: python -m benchmarks
token_temperature CONFIG

One temperature for all positions against one for each (`training.token_temperature`), fitted on several parts of a
curated set, of the untuned model. No checkpoint is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.paired import markdown
from calibration_tuning.command_line import quiet_libraries, with_errors
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.lm.likelihood import CHUNK
from calibration_tuning.lm.models import default_device, float32_logits, load_model
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.lm.token_temperature import TokenReads, TokenTemperature, fit_token_temperature, together
from calibration_tuning.lm.token_temperature import read_tokens as reduced
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.records import SPLITS
from evaluation.tables import number
from training.token_temperature import read_references

SHOWN = ("full_ece", "nll", "vocabulary_brier", "top1_ece", "accuracy")
CHANGES = ("full_ece", "nll", "vocabulary_brier")
PLAIN = "as it is"


@dataclass(frozen=True)
class Tokens:
    """The reference answers' tokens of one split: N positions."""

    hidden: torch.Tensor
    targets: torch.Tensor
    owners: np.ndarray
    """[N]: the row that each belongs to."""
    groups: np.ndarray
    """Of the rows."""
    sources: np.ndarray
    reads: TokenReads


def main(
    config: Annotated[Path, typer.Argument(help="YAML file of a curated run.")] = Path("configs/demo.yaml"),
    overrides: Annotated[list[str] | None, typer.Argument(help="key.path=value ...")] = None,
    ridge: Annotated[float, typer.Option(help="Penalty on the head's weights.")] = 0.03,
) -> None:
    quiet_libraries()
    with_errors(lambda: _main(load_run_config(config, overrides or []), ridge), debug=False)


def _main(config: RunConfig, ridge: float) -> None:
    curated = CuratedSet.read(config.curation_dir)
    model = load_model(config.model, default_device())
    splits: dict[str, Tokens] = {name: read(config, curated, name, model) for name in SPLITS if curated.has(name)}
    show(model, splits, ridge)


def read(config: RunConfig, curated: CuratedSet, split: Any, model: Any) -> Tokens:
    rows = curated.split(split)
    prompt_format = load_prompt_format(config.model)
    hidden, targets, reads, owners = [], [], [], []
    for members, continued in read_references(model, prompt_format, curated.few_shot, rows):
        hidden.append(continued.hidden)
        targets.append(continued.targets)
        reads.append(reduced(model, continued, range(len(continued.targets))))
        owners += [i for i, (length,) in zip(members, continued.lengths, strict=True) for _ in range(length)]
    groups, sources = (np.array([getattr(row, name) for row in rows]) for name in ("group", "source"))
    return Tokens(torch.cat(hidden), torch.cat(targets), np.array(owners), groups, sources, together(reads))


def show(model: Any, splits: dict[str, Tokens], ridge: float) -> None:
    heads = fitted(splits, ridge)
    for split in [name for name in ("test", "evaluation") if name in splits]:
        tokens = splits[split]
        calibrations = rated(model, tokens, heads)
        chance: Any = calibrations[PLAIN].compute_intervals(groups=tokens.groups)["full_ece"].if_calibrated
        print(f"\n{split}, {len(tokens.targets)} tokens; Full-ECE by chance {number(chance)}\n")
        rows = [[name, *described(side, calibrations[PLAIN], tokens.groups)] for name, side in calibrations.items()]
        print(markdown(["temperature, fitted on", *SHOWN, *(f"change of {name}" for name in CHANGES)], rows))
        print()
        sources = np.unique(tokens.sources).tolist()
        by_source = [
            [name, *(of_source(side, tokens, source) for source in sources)] for name, side in calibrations.items()
        ]
        print(markdown(["Full-ECE / NLL", *sources], by_source))


def fitted(splits: dict[str, Tokens], ridge: float) -> dict[str, TokenTemperature]:
    """Heads by what they were fitted on; two disjoint halves of the training questions show how much a fit varies."""
    train, calibration = splits["train"], splits["calibration"]
    names = np.unique(train.groups)
    first = np.isin(train.groups, np.random.default_rng(0).permutation(names)[: len(names) // 2])[train.owners]
    every = [splits[name] for name in ("train", "validation", "calibration")]
    parts = {
        "calibration": (calibration.reads, labels(calibration)),
        "half of train": (part(train.reads, first), labels(train)[first]),
        "other half": (part(train.reads, ~first), labels(train)[~first]),
        "train": (train.reads, labels(train)),
        "train, validation and calibration": (
            together([tokens.reads for tokens in every]),
            np.concatenate([labels(tokens) for tokens in every]),
        ),
    }
    heads = {f"each position, {name}": fit_token_temperature(*given, (ridge,))[0] for name, given in parts.items()}
    return {"one for all, calibration": single(calibration.reads), **heads}


def labels(tokens: Tokens) -> np.ndarray:
    return tokens.groups[tokens.owners]


def part(reads: TokenReads, mask: np.ndarray) -> TokenReads:
    rows = torch.from_numpy(np.flatnonzero(mask))
    return TokenReads(reads.hidden[rows], reads.logits[rows], reads.target[rows], reads.tail_size)


def single(reads: TokenReads) -> TokenTemperature:
    """The head without weights that has the least NLL, in steps of 0.01."""
    scales = torch.arange(0.5, 2.0, 0.01)
    nll = [float(reads.nll(scale.expand(len(reads.target))).mean()) for scale in scales]
    nothing = torch.zeros(reads.hidden.shape[1])
    return TokenTemperature(nothing, nothing + 1, nothing, scales[int(np.argmin(nll))].log().reshape(1))


def rated(model: Any, tokens: Tokens, heads: dict[str, TokenTemperature]) -> dict[str, TokenCalibration]:
    calibrations = {name: TokenCalibration() for name in (PLAIN, *heads)}
    for start in range(0, len(tokens.targets), CHUNK):
        at = slice(start, start + CHUNK)
        logits = float32_logits(model, tokens.hidden[at])
        for name, side in calibrations.items():
            by = 1.0 if name == PLAIN else heads[name](tokens.hidden[at]).unsqueeze(1)
            side.update(logits / by, tokens.targets[at], tokens.owners[at])
    return calibrations


def described(side: TokenCalibration, plain: TokenCalibration, groups: np.ndarray) -> list[str]:
    numbers = side.compute_intervals(groups=groups)
    cells = [number(numbers[name]) for name in SHOWN]
    if side is plain:
        return [*cells, *[""] * len(CHANGES)]
    changes = side.difference_intervals(plain, groups=groups)
    return [*cells, *(f"{number(changes[name], sign=True)} p = {changes[name].p:.1g}" for name in CHANGES)]


def of_source(side: TokenCalibration, tokens: Tokens, source: str) -> str:
    rows = {int(row): side.sums[int(row)] for row in np.flatnonzero(tokens.sources == source)}
    numbers = TokenCalibration().restored(None, rows).compute()
    return f"{numbers['full_ece']:.3f} / {numbers['nll']:.3f}"


if __name__ == "__main__":
    typer.run(main)
