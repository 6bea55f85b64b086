"""The report as a file: whole, alone, and safe."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from calibration_tuning.metrics import confidence_metrics
from evaluation import report as report_module
from evaluation import sentences
from evaluation.evidence import Evidence
from evaluation.report import write_report
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


def test_a_report_says_whose_answers_were_judged(
    report: tuple[Path, Metrics], evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, metrics = (report[0] / "report.html").read_text(), report[1]
    assert "Answers are generated with the adapter off, so tuning cannot change them. With the adapter on, " in own
    monkeypatch.setattr(report_module, "figures", lambda metrics, evidence: [])
    settings = evidence.manifest["settings"]
    curation = settings["curation"] | {"engine": {"kind": "openai", "served_model": "large"}}
    manifest = evidence.manifest | {"settings": settings | {"curation": curation}}
    write_report(tmp_path, metrics, replace(evidence, manifest=manifest))
    for name in ("report.html", "report.md"):
        said = (tmp_path / name).read_text()
        assert "The answers judged here are answers of large, which tuning cannot change. With the adapter on, " in said
        assert "generated with the adapter off" not in said
    nothing = sentences.answers_sentence(metrics.model_copy(update={"answers": None}), "answers of large")
    assert nothing.startswith("The answers judged here are answers of large, which tuning cannot change. Answers with")


def test_an_ece_may_be_0(report: tuple[Path, Metrics]) -> None:
    assert confidence_metrics([0.5] * 40, [0, 1] * 20)["ece"].value == 0
    assert "Chance alone makes an ECE larger than 0. With " in (report[0] / "report.html").read_text()


def test_first_plots_take_the_pages_colours(report: tuple[Path, Metrics]) -> None:
    html = (report[0] / "report.html").read_text()
    assert "var(--text)" in html
    assert "#101827" not in html
