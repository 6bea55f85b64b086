"""docs/models.md has a row for every family that is tested, and nothing in its tables was left untried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.families.conftest import COLUMNS, ROWS, Matrix, Table

PAGE = Path(__file__).parents[2] / "docs/models.md"


@pytest.mark.parametrize("name", COLUMNS)
def test_the_table_names_every_family(name: Table, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--models-table", None) is not None:
        pytest.skip("the table is being made")
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition(f"<!-- {name}: begin -->\n")[2].partition(f"<!-- {name}: end -->")[0]
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert head == [name, *COLUMNS[name]]
    assert [line[0] for line in lines] == [*ROWS[name]], "run pytest tests/families --models-table docs/models.md"
    assert [line for line in lines if "not tried" in line] == []


def test_cells_count_what_was_seen() -> None:
    matrix = Matrix()
    matrix.add("GPT-2", "confidences")
    for _ in range(3):
        matrix.add("GPT-2", "training loss")
    matrix.add("GPT-2", "training loss", "refused: why")
    (row,) = [line for line in matrix.table("architectures").splitlines() if line.startswith("| GPT-2 |")]
    assert row == (
        "| GPT-2 | equal | not tried | not tried | equal (3); refused: why | not tried | not tried | not tried |"
    )
