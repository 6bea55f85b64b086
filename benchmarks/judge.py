"""python -m benchmarks judge MODEL ...: how far a judge agrees with hand-labelled grades, beside `exact` and `fuzzy`.

judge_cases.jsonl holds short answers with labels. An answer is right (1) if it says all that a reference says and
contradicts nothing in it, whatever is true outside; a refusal is wrong (0).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.paired import machine, markdown
from calibration_tuning.command_line import quiet_libraries, with_errors
from calibration_tuning.config.engines import JudgeSettings, OpenAIEngine, TransformersEngine
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.grading.graders import grade
from calibration_tuning.metrics.bootstrap import wilson
from calibration_tuning.records import Question
from data_curation.judge import judge

CASES = Path(__file__).with_name("judge_cases.jsonl")
GRADERS = ("exact", "fuzzy")
COLUMNS = ("grader", "agreement", "95% interval", "false accepts", "false rejects", "unreadable")


@dataclass(frozen=True)
class Case:
    kind: str
    """What makes the answer hard to grade."""
    question: str
    references: list[str]
    answer: str
    grade: int
    """1 if the answer is right, 0 if it is wrong."""

    def asked(self, grader: str) -> Question:
        return Question(
            id="case", source="judge_cases", subject=self.kind, group="case", question=self.question,
            references=self.references, grader=grader,
        )  # fmt: skip


def main(
    models: Annotated[list[str], typer.Argument(help="Hub id, folder or pypi:NAME==VERSION of each judge.")],
    prompt: Annotated[Path | None, typer.Option(help="See curation.judge.prompt.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Ask an endpoint that speaks the OpenAI protocol.")] = None,
    kinds: Annotated[bool, typer.Option(help="Agreement on each kind of answer as well.")] = False,
) -> None:
    quiet_libraries()

    def work() -> None:
        cases = read_cases()
        engine = OpenAIEngine(base_url=base_url) if base_url else TransformersEngine()
        verdicts: dict[str, list[float | None]] = {}
        for model in models:
            started = time.monotonic()
            pairs = [(case.asked("judge"), case.answer) for case in cases]
            verdicts[model] = judge(
                JudgeSettings(model=ModelSettings(path=model), engine=engine, prompt=prompt), pairs, "benchmark"
            )
            print(f"{model}: {time.monotonic() - started:.0f} s (0 if its verdicts were in the cache)", flush=True)
        for grader in GRADERS:
            verdicts[grader] = [grade(case.asked(grader), case.answer) for case in cases]
        verdicts["always no"] = [0.0] * len(cases)
        right = sum(case.grade for case in cases)
        print(f"\n{machine('transformers')}; {len(cases)} answers, {right} right, {len(cases) - right} wrong\n")
        print(markdown(list(COLUMNS), [row(name, cases, given) for name, given in verdicts.items()]))
        if kinds:
            print("\n" + markdown(["kind", *verdicts], by_kind(cases, verdicts)))

    with_errors(work, debug=False)


def read_cases(path: Path = CASES) -> list[Case]:
    return [Case(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def row(name: str, cases: Sequence[Case], verdicts: Sequence[float | None]) -> list[str]:
    """A line of the table. An unreadable verdict (None) agrees with no label and is neither accept nor reject."""
    wrong = [verdict for case, verdict in zip(cases, verdicts, strict=True) if case.grade == 0]
    right = [verdict for case, verdict in zip(cases, verdicts, strict=True) if case.grade == 1]
    agreed = wrong.count(0) + right.count(1)
    share = agreed / len(cases)
    low, high = wilson(share, len(cases))
    return [
        name,
        f"{agreed} of {len(cases)} ({share:.0%})",
        f"{low:.0%} to {high:.0%}",
        f"{wrong.count(1)} of {len(wrong)}",
        f"{right.count(0)} of {len(right)}",
        str(verdicts.count(None)),
    ]


def by_kind(cases: Sequence[Case], verdicts: dict[str, list[float | None]]) -> list[list[str]]:
    rows = []
    for kind in dict.fromkeys(case.kind for case in cases):
        places = [i for i, case in enumerate(cases) if case.kind == kind]
        agreed = [sum(given[i] == cases[i].grade for i in places) for given in verdicts.values()]
        rows.append([kind, *(f"{count} of {len(places)}" for count in agreed)])
    return rows


if __name__ == "__main__":
    typer.run(main)
