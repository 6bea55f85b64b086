"""Finished answers on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from calibration_tuning import journal
from calibration_tuning.generation import Answer
from data_curation.engines import Failure, Finished


class Journal(journal.Journal):
    """Answers, and failures that another try would not mend, by the key of their request."""

    def read(self) -> dict[str, Answer | Failure]:
        return {key: (Failure if "reason" in row else Answer)(**row) for key, row in self.rows().items()}

    def append(self, finished: Iterable[Finished]) -> None:
        """Write lasting results; failures that another try may mend are not written."""
        self.append_rows(
            {"key": request.key, **dataclasses.asdict(result)}
            for request, result in finished
            if isinstance(result, Answer) or result.lasting
        )
