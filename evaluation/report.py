"""report.html (one file, opens without a network), report.md and the plots."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from calibration_tuning.curated_set import answers_of_others
from calibration_tuning.metrics.plots import plot_reliability, prepare_reliability
from calibration_tuning.metrics.plots.theme import inline_svg, save_png
from calibration_tuning.runs.files import write_text
from evaluation import sentences, story, tables
from evaluation.evidence import Evidence
from evaluation.example_lists import example_lists
from evaluation.plots.curves import plot_compute, plot_decisions
from evaluation.plots.groups import plot_estimators, plot_shift, plot_subjects
from evaluation.plots.tokens import plot_full_ece, plot_temperature
from evaluation.schema import Metrics

TEMPLATES = Path(__file__).parent / "templates"
WRONG_SHOWN = 20


@dataclass(frozen=True)
class Plot:
    caption: str
    file: str
    svg: Markup


def write_report(folder: Path, metrics: Metrics, evidence: Evidence) -> None:
    (folder / "plots").mkdir()
    plots = {}
    for name, caption, drawn in figures(metrics, evidence):
        save_png(drawn, folder / "plots" / f"{name}.png")
        # Made here, and its texts escaped by matplotlib: the one thing in the page that is not escaped again.
        plots[name] = Plot(caption, f"plots/{name}.png", Markup(inline_svg(drawn, caption)))
    context = {
        "metrics": metrics,
        "sentences": sentences,
        "story": story,
        "tables": tables,
        "name_of": tables.NameOf(metrics),
        "number": tables.number,
        "others": answers_of_others(evidence.manifest),
        "examples": example_lists(evidence),
        "date": f"{_today():%-d %B %Y}",
        "plots": plots,
    }
    for name in ("report.html", "report.md"):
        write_text(folder / name, environment().get_template(f"{name}.j2").render(context))


def _today() -> datetime.date:
    """Or the day of SOURCE_DATE_EPOCH, which whoever wants the same bytes on another day sets."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date() if epoch else datetime.date.today()


def environment() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["md"] = markdown_cell
    templates.filters["stacked"] = stacked
    templates.filters["code"] = code
    return templates


def figures(metrics: Metrics, evidence: Evidence) -> Iterator[tuple[str, str, Figure]]:
    """(name, caption, figure) of every plot that this run has something to show in."""
    bins, correct = metrics.num_bins, evidence.correct("test")
    for name, confidence in (("before", evidence.before("test")), ("after", evidence.after("test"))):
        side = prepare_reliability(confidence, correct, bins, evidence.groups("test"))
        caption = (
            f"Reliability {name} tuning: how often answers are correct against how sure the model was, with 95% Wilson "
            "intervals; grey is where a perfectly calibrated model would be 95 times in 100; below, how many answers."
        )
        yield f"reliability_{name}", caption, plot_reliability({name: side}, bins)
    yield (
        "full_ece",
        "Full-ECE by bin on the reference answers' tokens: over all (position, vocabulary token) pairs in a bin of "
        "probability, how much more often they came true than predicted. The heights, sign aside, add up to Full-ECE.",
        plot_full_ece(metrics.tokens.equal_width),
    )
    yield (
        "estimators",
        "Every confidence, calibrated on the calibration split: Brier score on the test split with 95% intervals.",
        plot_estimators(metrics.estimators["test"]),
    )
    yield (
        "decisions",
        "Risk-coverage: the share of wrong answers among the most confident ones, as more questions are answered. "
        "Dashed: a confidence that tells right from wrong perfectly.",
        plot_decisions(metrics.decisions, metrics.headline.test.n),
    )
    yield (
        "temperature",
        "Temperature on the token logits: test split, by temperature; dotted the one found on the calibration split.",
        plot_temperature(metrics.temperature),
    )
    if metrics.subjects.worst is not None:
        yield (
            "subjects",
            "Accuracy by subject, and the mean confidence before and after; the largest gaps on top.",
            plot_subjects(metrics.subjects),
        )
    if any(row.estimators for row in metrics.sources.values()):
        yield (
            "shift",
            "AUROC of every confidence on every question set; 0.5 is no better than chance.",
            plot_shift(metrics.sources, tables.NameOf(metrics)),
        )
    if metrics.compute is not None:
        yield (
            "compute",
            "What more tokens buy: accuracy, Brier score and ECE against the tokens generated for an answer.",
            plot_compute(metrics.compute),
        )


def confidently_wrong(evidence: Evidence) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of before tuning."""
    rows, before, after = evidence.splits["test"], evidence.before("test"), evidence.after("test")
    wrong = np.flatnonzero(evidence.correct("test") < 0.5)
    worst = wrong[np.argsort(-before[wrong], kind="stable")][:WRONG_SHOWN]
    return [
        {
            "question": rows[i].shown,
            "answer": rows[i].answer,
            "reference": rows[i].references[0],
            "before": f"{before[i]:.2f}",
            "after": f"{after[i]:.2f}",
        }
        for i in worst
    ]


def stacked(text: str) -> Markup:
    """A number with its interval in a separate element, which the page may put on a second line."""
    value, bracket, rest = text.partition(" [")
    return Markup("{} <small>[{}</small>").format(value, rest) if bracket else escape(text)


def code(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def markdown_cell(text: str) -> str:
    escaped = re.sub(r"([\\|`*_<>\[\]])", r"\\\1", text)
    return " ".join(escaped.split())
