"""Requests are answered by an engine, each process doing its share, every answer journaled as it is finished."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from calibration_tuning.errors import RunError
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.runs.journal import Journal
from calibration_tuning.runs.processes import process_count, process_index, wait_for_everyone
from calibration_tuning.runs.progress import progress
from data_curation.engines import Engine, Failure, Finished


class AnswerJournal(Journal):
    """Answers, and failures that a retry cannot fix, by the key of their request."""

    def read(self) -> dict[str, Answer | Failure]:
        return {key: (Failure if "reason" in row else Answer)(**row) for key, row in self.rows().items()}

    def append(self, finished: Iterable[Finished]) -> None:
        """Write lasting results; failures that a retry may fix are not written."""
        self.append_rows(
            {"key": request.key, **dataclasses.asdict(result)}
            for request, result in finished
            if isinstance(result, Answer) or result.lasting
        )


FirstLook = Callable[[Engine, Sequence[Finished]], None]
"""Looks at the first finished batch of a process, with the engine that answered it; may raise."""


def answer_all(
    make_engine: Callable[[], Engine],
    requests: Sequence[Request],
    journal: AnswerJournal,
    description: str,
    unit: str,
    first_look: FirstLook = lambda engine, finished: None,
) -> dict[str, Answer | Failure]:
    """An answer or a lasting failure for every request, by its key, in every process.

    The engine is only made if there is something to answer. Batches are dealt out to the processes in turn. Raises
    `RunError` if requests are left that another try may answer.
    """
    done = journal.read()
    failed: Counter[str] = Counter()
    if any(request.key not in done for request in requests):
        failed = _answer_share(make_engine(), requests, done, journal, description, unit, first_look)
    wait_for_everyone()
    answers = journal.read()
    missing = [request.question.id for request in requests if request.key not in answers]
    if missing:
        reasons = "; ".join(failed) or "see the warnings of the other processes"
        raise RunError(
            f"{description}: {len(missing)} of {len(requests)} {unit} failed, the first for question {missing[0]} "
            f"({reasons}); all others are kept, and the same command asks just these again"
        )
    return {request.key: answers[request.key] for request in requests}


def _answer_share(
    engine: Engine,
    requests: Sequence[Request],
    done: Mapping[str, object],
    journal: AnswerJournal,
    description: str,
    unit: str,
    first_look: FirstLook,
) -> Counter[str]:
    """Answer what is left of this process's share; how many failed for which reason."""
    # Dealt out before what is done is left out, as another process may already have done more.
    dealt = engine.batches(requests)[process_index() :: process_count()]
    # A batch that was written in part is answered again as a whole: its rounding must be that of an unbroken run.
    mine = [batch for batch in dealt if any(request.key not in done for request in batch)]
    failed: Counter[str] = Counter()
    if finished_before := sum(request.key in done for request in requests):
        print(f"{description}: resuming after {finished_before:,} finished {unit}")
    with progress(sum(map(len, mine)), description, unit) as bar:
        for number, finished in enumerate(engine.answer(mine)):
            if number == 0:
                first_look(engine, finished)
            journal.append([(request, result) for request, result in finished if request.key not in done])
            failed.update(result.reason for _, result in finished if isinstance(result, Failure) and not result.lasting)
            bar.update(len(finished))
    for reason, count in failed.items():
        print(f"warning: {description}: {count} {unit} failed: {reason}", file=sys.stderr)
    return failed
