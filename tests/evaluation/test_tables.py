"""Tables on the console."""

from __future__ import annotations

import pytest

from evaluation.tables import Row, print_rows


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_names_stay_whole_on_any_console(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    names = [f"average_token_probability_{state}_calibrated" for state in ("before", "after")]
    why = "undefined: all answers are correct, or all are wrong"
    print_rows("Brier score", "confidence", ("a", "b"), [Row(name, why, why, why, "0.012", "better") for name in names])
    printed = capsys.readouterr().out
    assert [printed.count(f"│ {name} ") for name in names] == [1, 1]
    assert "…" not in printed
