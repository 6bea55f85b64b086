"""The report as a file: whole, alone, and safe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evaluation.schema import Metrics
from evaluation.sections import SECTIONS

pytestmark = pytest.mark.slow


def test_report_is_self_contained_and_escapes_answers(report: tuple[Path, Metrics]) -> None:
    folder, metrics = report
    html, markdown = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;document" in html
    assert not re.search(r'(src|href)="(?!#|data:)[^"]', html), "nothing may be fetched"
    assert "url(http" not in html
    assert not re.search(r"(?<!\\)<script", markdown)
    for text in (html, markdown):
        assert "Confidence improved" in text
        assert f"{metrics.headline.test.after['brier'].value:.3f}" in text
    assert Metrics.model_validate(json.loads(json.dumps(metrics.as_json(), allow_nan=False))) == metrics


def test_every_section_is_there(report: tuple[Path, Metrics]) -> None:
    folder, metrics = report
    assert {*SECTIONS} <= {*metrics.as_json()}
    html = (folder / "report.html").read_text()
    for title in (
        "Every confidence, side by side",
        "Token-level calibration",
        "Temperature on the token logits",
        "When to answer",
        "By subject",
        "Trained-on and unseen question sets",
        "Post-hoc calibrators",
        "More computing when answering",
        "Answers and grades",
        "Examples",
        "Definitions",
    ):
        assert f">{title}</h" in html, title
        assert title == "Temperature on the token logits" or f">{title}</a>" in html, "in the list of contents"
    assert html.count("<svg") == len(list((folder / "plots").glob("*.png"))) == 9
    assert html.count("</svg>") == 9
    assert "Schema 4." in html


def test_first_plots_take_the_pages_colours(report: tuple[Path, Metrics]) -> None:
    html = (report[0] / "report.html").read_text()
    assert "var(--text)" in html
    assert "#101827" not in html
