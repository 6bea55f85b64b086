"""The report in a real browser: nothing is fetched, nothing runs, it fits a phone, and dark is dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluation.evidence import Evidence
from evaluation.metrics_json import metrics_of
from evaluation.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed"),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, evidence: Evidence) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_report(folder, metrics_of(evidence), evidence)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Run as root in CI, where Chromium has no sandbox of its own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_whole_and_alone(
    browser: Any, page_file: Path, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_file.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert said == []
    # Hostile answers are shown, not run.
    assert page.title() == "made-up: calibration before and after tuning"
    assert "<script>document.title" in page.inner_text("body")
    assert page.query_selector_all("script, [onerror]") == []
    # Wide tables scroll by themselves; the page does not.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 1280:  # no column is cut
        for table in page.query_selector_all(".scroll"):
            assert table.evaluate("box => box.scrollWidth - box.clientWidth") == 0, table.inner_text()[:80]
    else:  # before and after are seen without scrolling
        for table in page.query_selector_all(".scroll:has(th:text('before'))"):
            heads = [head for head in table.query_selector_all("th") if head.inner_text() in ("before", "after")]
            assert all(box["x"] + box["width"] <= width for head in heads if (box := head.bounding_box()))
    for plot in page.query_selector_all("figure svg"):
        box = plot.bounding_box()
        assert 0 < box["width"] <= width
        assert box["height"] > 50
    text, background = (
        [int(part) for part in page.evaluate(f"getComputedStyle(document.body).{name}")[4:-1].split(",")]
        for name in ("color", "backgroundColor")
    )
    assert (sum(background) < sum(text)) == (scheme == "dark")
    # The plots' texts take the page's colour.
    assert page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")[4:-1].split(", ") == [
        str(part) for part in text
    ]
    picture = page.screenshot(path=str(tmp_path / f"{width}-{scheme}.png"), full_page=True)
    assert len(picture) > 50_000
    page.close()


def test_the_first_screen_has_verdict_table_and_diagrams(browser: Any, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(page_file.as_uri())
    for selector in (".lead", ".first table", ".diagrams figure:nth-child(1)", ".diagrams figure:nth-child(2)"):
        box = page.query_selector(selector).bounding_box()
        assert box["y"] >= 0, selector
        assert box["y"] + box["height"] <= 900, selector
    details = page.query_selector("details")
    assert not details.query_selector("table").is_visible()
    details.query_selector("summary").click()
    assert details.query_selector("table").is_visible()
    page.close()
