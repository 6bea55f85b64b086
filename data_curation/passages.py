"""Passages that a question may be about: columns such as `context` and `passage`, and whether they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from calibration_tuning.choice_labels import text_of
from calibration_tuning.config.questions import QuestionSetSettings
from calibration_tuning.records import Question

PASSAGES = ("context", "passage", "paragraph", "article", "document", "documents", "story", "body")
SHOWN = ("question", "context", "choices", "label", "answer", "aliases", "program")
"""Templates in which a passage has its use. To group questions by their passage shows nothing of it."""


def names_column(settings: QuestionSetSettings, column: str) -> bool:
    """True if a template speaks of the column."""
    templates = [getattr(settings, name) for name in SHOWN]
    text = "\n".join("\n".join(part) if isinstance(part, list) else part or "" for part in templates)
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", text) is not None


def unshown_passage(settings: QuestionSetSettings, row: Mapping[str, Any], question: Question) -> str | None:
    """The column of a passage that the question leaves out. None where the set says `context: null`."""
    if "context" in settings.model_fields_set:
        return None
    return next(
        (
            column
            for column in map(str, row)
            if column.strip().casefold() in PASSAGES
            and (passage := text_of(row[column]))
            and passage not in question.shown
            and passage not in question.references
            and not names_column(settings, column)
        ),
        None,
    )
