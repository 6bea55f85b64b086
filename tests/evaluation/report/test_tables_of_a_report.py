"""What the sections of a report compare, count and mark."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow.parquet as pq
import pytest

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.calibrators import Calibrator, fit
from calibration_tuning.metrics.plots import prepare_reliability
from evaluation import sentences, story, tables
from evaluation.evidence import Evidence
from evaluation.example_lists import example_lists
from evaluation.findings import key
from evaluation.metrics_json import metrics_of
from evaluation.per_example import write_per_example
from evaluation.report import _today, figures, stacked, write_report
from evaluation.schema import Calibrators, Metrics
from evaluation.sections import SECTIONS
from tests.evaluation.report.parts import parts

pytestmark = pytest.mark.slow


def test_the_primary_comparison_is_chosen_on_calibration_and_not_corrected(report: tuple[Path, Metrics]) -> None:
    metrics = report[1]
    primary = metrics.primary
    assert primary is not None
    assert primary.other == "average_token_probability/before", "the only untuned confidence that knows something"
    assert primary.candidates == 4
    assert primary.difference.p is not None
    assert primary.difference.p_holm is None
    rated = metrics.estimators["test"]["average_token_probability"].states["before"]
    assert rated.calibrated is not None
    assert rated.against_query is not None
    assert primary.untuned.value == rated.calibrated["brier"].value
    assert primary.difference.value == pytest.approx(-rated.against_query["brier"].value)
    said = sentences.primary_sentence(metrics)
    assert "the tuned confidence is clearly better than it" in said
    assert "tested by itself at 5%" in said


def test_without_groups_to_choose_on_there_is_no_primary_comparison(make_evidence: Callable[..., Evidence]) -> None:
    full = make_evidence()
    few = make_evidence(splits=full.splits | {"calibration": full.splits["calibration"][:6]})  # three groups
    assert SECTIONS["primary"](few) is None
    assert "was not made" in sentences.primary_sentence(parts(primary=None))


def by_subject(evidence: Evidence, rates: tuple[float, float]) -> dict[str, list[Any]]:
    """The splits with answers that are right as often as `rates` say of the two subjects, and by nothing else."""
    generator = np.random.default_rng(3)
    return {
        split: [
            row.model_copy(update={"correct": float(generator.random() < rates[row.subject == "t1"])}) for row in rows
        ]
        for split, rows in evidence.splits.items()
    }


def test_no_gain_is_claimed_that_knowing_the_subject_gives_as_well(make_evidence: Callable[..., Evidence]) -> None:
    """A query that only knows which subjects are easy: a gain over the untuned one, none over their accuracy."""
    splits = by_subject(make_evidence(), (0.1, 0.9))
    made = make_evidence(splits=splits)
    for row in made.splits["test"]:
        made.findings.values["query"][key("after", row)]["logit"] = 2.2 if row.subject == "t1" else -2.2
    metrics = parts(headline=SECTIONS["headline"](made), calibrator=Calibrator("temperature"))
    test = metrics.headline.test
    assert test.tuning["brier"].verdict == "better"
    assert test.over_subject_accuracy["brier"].verdict != "better"
    assert test.after["auroc"].value > 0.8
    assert test.after["auroc_within_subjects"].value == test.subject_accuracy["auroc_within_subjects"].value == 0.5
    said = f"{sentences.verdict_sentence(metrics)} {sentences.credit_sentence(metrics)}"
    assert said.startswith("No gain was shown beyond knowing each subject's accuracy, on 80 held-out questions.")
    assert "no gain beyond what the accuracy of the subject gives" in said
    assert "improved" not in said
    assert "clear gain" not in said


def test_examples_are_counted_and_sorted(evidence: Evidence) -> None:
    """Counted by hand, answer by answer."""
    before, after, correct = evidence.before("test"), evidence.after("test"), evidence.correct("test")
    titles = ("No longer overconfident", "Still overconfident", "Newly overconfident", "Underconfident")
    expected = dict.fromkeys(titles, 0)
    for was, now, right in zip(before, after, correct, strict=True):
        if right and now < 0.5:
            expected["Underconfident"] += 1
        elif not right and was >= 0.5:
            expected["Still overconfident" if now >= 0.5 else "No longer overconfident"] += 1
        elif not right and now >= 0.5:
            expected["Newly overconfident"] += 1
    lists = {shown.title: shown for shown in example_lists(evidence)}
    assert {title: shown.n for title, shown in lists.items()} == expected
    assert {shown.total for shown in lists.values()} == {int(correct.sum()), int((1 - correct).sum())}
    fixed = lists["No longer overconfident"].examples
    assert len(fixed) == min(6, expected["No longer overconfident"])
    falls = [row.before - row.after for row in fixed]
    assert falls == sorted(falls, reverse=True)
    assert falls[0] == max((before - after)[(correct < 0.5) & (before >= 0.5) & (after < 0.5)])


def test_what_to_do_next(report: tuple[Path, Metrics]) -> None:
    metrics = report[1]
    steps = story.next_steps(metrics)
    assert steps[0].startswith("Use the tuned confidence: it is clearly better")
    assert steps[-1].endswith("Other kinds of question were not measured here.")
    assert any("independent calibration answers are needed (now 30" in step for step in steps)
    said = story.before_and_after_sentence(metrics)
    assert re.match(
        r"Before, the model said \d+% on average, and 31% of the answers were right; now it says \d+%\.", said
    )
    primary = metrics.primary
    assert primary is not None
    for verdict, words in (("worse", "Do not use the tuned confidence"), ("unclear", "Use either one")):
        change = replace(primary.difference, value=0.001, low=-0.001, high=0.003, verdict=verdict)
        other = metrics.model_copy(update={"primary": primary.model_copy(update={"difference": change})})
        assert story.next_steps(other)[0].startswith(words)
    # A standard error of 0.002 / 1.96 must be that of 0.001 / 2.96: (2 x 2.96 / 1.96)^2 x 80 = 730 questions.
    said = "About 800 test questions would show a difference of this size five times out of six (now 80)."
    assert said in story.next_steps(other)[0]
    assert story.next_steps(metrics.model_copy(update={"primary": None}))[0].startswith("Curate more calibration")


def test_a_percentage_compares_calibrated_with_calibrated(report: tuple[Path, Metrics]) -> None:
    test = report[1].headline.test
    share = test.after["brier"].value / test.before_calibrated["brier"].value - 1
    assert f"({share:+.0%})" in sentences.scores_sentence(report[1])


def test_a_confidence_that_ranks_the_wrong_way_round_is_marked(
    make_evidence: Callable[..., Evidence], tmp_path: Path
) -> None:
    evidence = make_evidence((-4.0, 4.0))
    metrics = metrics_of(evidence)
    states = metrics.estimators["test"]["query"].states
    assert (states["before"].slope_at_bound, states["after"].slope_at_bound) == (True, False)
    assert (sentences.mark(states["before"]), sentences.mark(states["after"])) == (" \u2020", "")
    write_report(tmp_path, metrics, evidence)
    for name in ("report.html", "report.md"):
        assert "\u2020 On the calibration split" in (tmp_path / name).read_text()


def test_a_temperature_that_cannot_shift_is_not_called_a_wrong_ranking(
    make_evidence: Callable[..., Evidence], tmp_path: Path
) -> None:
    """Six answers in ten are right, and a query that tells right from wrong says no to nearly all."""
    rows = make_evidence().splits
    right = {split: [row.model_copy(update={"correct": 1 - row.correct}) for row in own] for split, own in rows.items()}
    made = make_evidence((4.0, 4.0), splits=right, settings={"estimators": ["query", "query_zero_shot"]})
    for name in ("query", "query_zero_shot"):
        for found in made.findings.values[name].values():
            found["logit"] -= 40.0  # type: ignore[index]
    temperature = fit("temperature", made.scores["query", "after"]["calibration"], made.correct("calibration"))
    made = replace(made, record=made.record.model_copy(update={"calibrator": temperature}))
    metrics = metrics_of(made)
    states = metrics.estimators["test"]["query"].states
    assert states["after"].raw["auroc"].value > 0.9
    assert states["after"].calibrated is not None
    assert states["after"].calibrated["brier"].value == pytest.approx(0.25, abs=0.001)
    assert [sentences.mark(side) for side in states.values()] == [" \u2021", " \u2021"]
    # A rival that ranks no better has Platt scaling, on the test split and where the best is chosen.
    rival = metrics.estimators["test"]["query_zero_shot"].states["before"]
    assert rival.calibrated is not None
    assert rival.calibrated["brier"].value < 0.2
    assert sentences.mark(rival) == ""
    assert metrics.primary is not None
    assert metrics.primary.other == "query_zero_shot/before"
    assert metrics.primary.untuned.value == rival.calibrated["brier"].value
    assert metrics.primary.difference.verdict == "worse"
    write_report(tmp_path, metrics, made)
    for name in ("report.html", "report.md"):
        said = (tmp_path / name).read_text()
        assert "\u2021 The temperature is at its upper bound" in said
        assert "\u2020" not in said
        assert "All other confidences have Platt scaling" in said


def test_confidences_that_few_answers_have_are_named(make_evidence: Callable[..., Evidence], tmp_path: Path) -> None:
    made = make_evidence()
    made.scores["query_zero_shot", "before"]["test"][19:] = np.nan
    metrics = metrics_of(made)
    write_report(tmp_path, metrics, made)
    for name in ("report.html", "report.md"):
        assert "(how many): uncertainty query, zero-shot, before (19)." in (tmp_path / name).read_text()


def test_diagrams_know_which_answers_belong_together(
    report: tuple[Path, Metrics], evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Mock(wraps=prepare_reliability)
    monkeypatch.setattr("evaluation.report.prepare_reliability", drawn)
    next(figures(report[1], evidence))
    assert (drawn.call_args.args[3] == evidence.groups("test")).all()


def test_unadjusted_intervals_beside_adjusted_verdicts_are_explained(report: tuple[Path, Metrics]) -> None:
    folder, metrics = report
    said = f"for all {metrics.comparisons['test']} comparisons"
    for name in ("report.html", "report.md"):
        assert said in (folder / name).read_text()


def test_without_rivals_nothing_is_said_of_them() -> None:
    for best in (None, "sequence_likelihood/before"):  # none, or one that too few test answers have
        metrics = parts(posthoc=Calibrators.model_construct(best_other=best), estimators={"test": {}})
        assert sentences.rivals_sentence(metrics) == "No other confidence was measured on all of enough questions."


def test_corrected_p_values_are_no_smaller(report: tuple[Path, Metrics]) -> None:
    metrics = report[1]
    difference = metrics.headline.test.difference
    corrected = [entry for entry in difference.values() if entry.p_holm is not None]
    assert all(entry.p_holm >= entry.p for entry in corrected)
    assert difference["brier"].p_holm < 0.05
    assert difference["accuracy"].verdict == ""
    assert difference["accuracy"].p_holm is None
    # Token tables are of the same family: confidence metrics, 3 x Brier, 5 of the tokens, 3 more Full-ECE.
    assert metrics.comparisons == {"test": len(corrected) + 3 + 5 + 3}
    assert metrics.tokens.log.difference["full_ece"].p_holm is not None


def differences_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every difference in metrics.json."""
    if isinstance(value, dict) and "verdict" in value:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from differences_in(part)


def test_nothing_uncorrected_is_better_or_worse(report: tuple[Path, Metrics]) -> None:
    values = report[1].as_json()
    primary = values.pop("primary")
    assert primary["difference"]["verdict"] == "better"
    found = list(differences_in(values))
    assert all(one["verdict"] == "" for one in found if "p_holm" not in one)
    assert any("p_holm" not in one and (one["p"] or 1) < 0.05 for one in found)
    assert {one["verdict"] for one in found if "p_holm" in one} > {"better"}


def test_what_no_answer_may_lack_is_what_is_chosen_from(make_evidence: Callable[..., Evidence]) -> None:
    made = make_evidence()
    before = SECTIONS["primary"](made).candidates
    made.scores["query_zero_shot", "before"]["calibration"][0] = np.nan
    metrics = metrics_of(made)
    assert metrics.primary is not None
    assert metrics.primary.candidates == before - 1
    left_out = (
        " Left out of the choice, because some answers have no such confidence (how many): uncertainty query, "
        "zero-shot, before (1)."
    )
    assert sentences.primary_sentence(metrics).endswith(left_out)
    assert sentences.rivals_sentence(metrics).endswith(left_out)


def test_the_model_is_that_of_the_checkpoint(evidence: Evidence) -> None:
    settings = evidence.config.model_copy(update={"model": ModelSettings(path="another")})
    assert metrics_of(replace(evidence, config=settings)).model == "m"


def test_rows_of_the_tables_name_every_metric_once(report: tuple[Path, Metrics]) -> None:
    labels = [row.label for row in [*tables.main_rows(report[1]), *tables.further_rows(report[1])]]
    assert len(labels) == len({*labels}) == 27
    assert tables.shifted_rows(report[1]) == []


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (Interval(0.1234, 0.1, 0.2), "0.123 [0.100, 0.200]"),
        (Interval(0.1234), "0.123"),
        (Interval(2e-6, 1e-6, 3e-6), "2.0e-06 [1.0e-06, 3.0e-06]"),
        (Interval(None, undefined="undefined: why"), "undefined: why"),
    ],
)
def test_numbers_as_text(entry: Interval, text: str) -> None:
    assert tables.number(entry) == text


def test_intervals_may_stand_below_numbers() -> None:
    assert stacked("0.1 [0, 1]") == "0.1 <small>[0, 1]</small>"
    assert stacked("<b>") == "&lt;b&gt;"


def test_one_class_is_said_not_computed(make_evidence: Callable[..., Evidence], tmp_path: Path) -> None:
    splits = {
        name: [row.model_copy(update={"correct": 1.0}) for row in rows] for name, rows in make_evidence().splits.items()
    }
    evidence = make_evidence(splits=splits)
    metrics = metrics_of(evidence)
    assert metrics.headline.test.after["auroc"].value is None
    write_report(tmp_path, metrics, evidence)
    html = (tmp_path / "report.html").read_text()
    assert "undefined: all answers are correct, or all are wrong" in html
    assert "AUROC within subjects is undefined: no subject has both a right and a wrong answer." in html
    assert "confidence in undefined" not in html
    assert not re.search(r"\bnan\b", html, flags=re.IGNORECASE)
    assert metrics.estimators["test"].get("probe") is None, "a probe cannot be fitted on one class"


def test_three_answers_are_few(make_evidence: Callable[..., Evidence], tmp_path: Path) -> None:
    full = make_evidence()
    few = make_evidence(splits={name: rows[:3] for name, rows in full.splits.items()})
    metrics = metrics_of(few)
    assert metrics.headline.test.after["ece"].undefined == "undefined: fewer examples than bins"
    assert metrics.subjects.worst is None
    write_report(tmp_path, metrics, few)
    html = (tmp_path / "report.html").read_text()
    assert "No subject has ten independent test questions" in html
    assert "Confidence was measured on 3 held-out questions" in html, (
        "two groups of questions are no ground for a verdict"
    )
    assert {row.verdict for row in tables.main_rows(metrics)} == {""}


def test_ten_test_answers_are_too_few_for_a_row_but_not_for_the_primary_comparison(
    make_evidence: Callable[..., Evidence], tmp_path: Path
) -> None:
    full = make_evidence()
    few = make_evidence(splits=full.splits | {"test": full.splits["test"][:10]})
    metrics = metrics_of(few)
    assert metrics.primary is not None
    assert metrics.estimators["test"] == {}
    rows = {row.label: row for row in tables.reference_rows(metrics)}
    label = metrics.primary.other.partition("/")[0].replace("_", " ")
    assert rows[f"{label}, before (best untuned; primary)"].brier == tables.number(metrics.primary.untuned)
    write_report(tmp_path, metrics, few)


def test_per_example_file(tmp_path: Path, evidence: Evidence) -> None:
    write_per_example(tmp_path / "x.parquet", evidence)
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert len(rows) == len(evidence.splits["test"])
    assert {row["split"] for row in rows} == {"test"}
    assert rows[0]["answer"] == evidence.splits["test"][0].answer
    assert [row["reanswered"] for row in rows[:4]] == ["another"] * 3 + [None]
    for name in ("query_before", "query_after_calibrated", "average_token_probability_before"):
        assert all(0 <= row[name] <= 1 for row in rows), name
    assert [row["confidence_after"] for row in rows] == pytest.approx(evidence.after("test"))
    assert [row["query_after_calibrated"] for row in rows] == pytest.approx(evidence.after("test"))


def test_groups_shared_by_questions_are_counted(evidence: Evidence) -> None:
    found = SECTIONS["headline"](evidence)
    assert found is not None
    assert (found.test.n, found.test.groups) == (80, 40)
    assert np.isfinite(found.test.after["brier"].low)


def test_answers_are_compared_under_the_same_conditions(evidence: Evidence) -> None:
    # Both sides were asked anew: three questions, adapter off as curated, on another answer that is always right.
    found = SECTIONS["answers"](evidence)
    assert found is not None
    assert found.n == 3
    assert found.changed.value == 1.0
    off = evidence.correct("test")[:3].mean()
    assert found.accuracy_adapter_off.value == off
    assert found.accuracy_difference.value == pytest.approx(1.0 - off)
    assert found.changed.low is None, "two groups of questions"


def test_names_of_subjects_break_nothing(make_evidence: Callable[..., Evidence], tmp_path: Path) -> None:
    subject = r"cost of $x^2 \frac{ --> <b>"
    splits = {
        name: [row.model_copy(update={"subject": subject}) for row in rows]
        for name, rows in make_evidence().splits.items()
    }
    evidence = make_evidence(splits=splits)
    metrics = metrics_of(evidence)
    folder = tmp_path / "evaluation"
    folder.mkdir()
    write_report(folder, metrics, evidence)
    assert "<b>" not in (folder / "report.html").read_text()


def test_the_day_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert _today() == datetime.date(1970, 1, 2)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert _today() > datetime.date(2025, 1, 1)
