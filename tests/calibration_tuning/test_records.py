from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibration_tuning import records
from calibration_tuning.errors import UserError
from calibration_tuning.records import QueryExample, Sample, read_records, write_records


def example(number: int, **values: Any) -> QueryExample:
    fields = {"source": "s", "subject": "t", "group": "g", "question": "q?", "references": ["a"], "grader": "exact"}
    answered = {"answer": "b", "token_ids": [number], "token_logprobs": [-0.5], "correct": 1.0, "split": "test"}
    return QueryExample.model_validate({"id": str(number), **fields, **answered, **values})


ROWS = [
    *(example(number) for number in range(2)),
    example(2, choices=["a", "b"], choice_logprobs=[-1.0, -2.0], max_new_tokens=3),
    example(3, context="Here.", samples=[Sample(answer="c", token_ids=[], token_logprobs=[], correct=0.0)]),
    example(4, program="pass"),
]


@pytest.mark.parametrize("part", [2, 5, 1000])
def test_rows_survive_parts_of_any_size(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PART", part)
    write_records(tmp_path / "test.parquet", ROWS)
    assert read_records(tmp_path / "test.parquet") == ROWS
    # A part without choices or samples has columns of the same types.
    assert pq.read_schema(tmp_path / "test.parquet").field("choices").type == pa.list_(pa.string())


@pytest.mark.parametrize(
    ("split", "remedy"),
    [("validation", "raise curation.sizes.validation"), ("evaluation", "add a question set with role: evaluation")],
)
def test_a_split_without_rows(split: str, remedy: str, tmp_path: Path) -> None:
    write_records(tmp_path / f"{split}.parquet", [])
    with pytest.raises(UserError, match=f"holds no examples; {remedy}$"):
        read_records(tmp_path / f"{split}.parquet")


def test_a_bad_row_is_named_by_its_place_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PART", 2)
    write_records(tmp_path / "test.parquet", ROWS)
    table = pq.read_table(tmp_path / "test.parquet")
    grades = [1.0, 1.0, 1.0, None, 1.0]
    place = table.schema.get_field_index("correct")
    pq.write_table(table.set_column(place, "correct", [grades]), tmp_path / "test.parquet")
    with pytest.raises(UserError, match=r"test\.parquet, row 3, correct"):
        read_records(tmp_path / "test.parquet")


def test_records_share_what_says_nothing_about_them() -> None:
    one, other = example(1), example(2)
    assert one.model_fields_set is other.model_fields_set
    assert one.model_copy(update={"id": "3"}).id == "3"
    assert not one.model_fields_set
