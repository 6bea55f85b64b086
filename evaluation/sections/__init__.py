"""The parts of metrics.json and of the report. A section is a file with a function and a line in `SECTIONS`; one that
has nothing to say about a run gives None. What each gives is the field of that name in `schema.Metrics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evaluation.evidence import Evidence
from evaluation.sections import (
    answers,
    as_loaded,
    calibrators,
    code,
    compute,
    confidences,
    grader,
    groups,
    headline,
    left_out_sources,
    other_models,
    primary,
    temperature,
    text,
    thresholds,
    tokens,
)

SECTIONS: dict[str, Callable[[Evidence], Any]] = {
    "primary": primary.primary,
    "headline": headline.headline,
    "tokens": tokens.tokens,
    "text": text.text,
    "query_tokens": tokens.query_tokens,
    "estimators": confidences.estimators,
    "unrated": confidences.unrated,
    "posthoc": calibrators.posthoc,
    "temperature": temperature.temperature,
    "decisions": thresholds.decisions,
    "as_loaded": as_loaded.as_loaded,
    "subjects": groups.subjects,
    "sources": groups.sources,
    "left_out_sources": left_out_sources.left_out_sources,
    "answers": answers.answers,
    "compute": compute.curves,
    "other_models": other_models.other_models,
    "code": code.code,
    "grader": grader.grader,
}
