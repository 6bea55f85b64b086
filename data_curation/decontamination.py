"""Training questions that overlap with evaluation questions are left out, and listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence

from calibration_tuning.records import Question
from data_curation.duplicates import FORM_LEAST, FORM_SHARE, Dropped, dropped
from data_curation.plain_text import words

# Evaluation questions of fewer words are only compared whole, as duplicates: "what is the capital of" is in too many.
SHORTEST_NGRAM = 6
Gram = tuple[str, ...]


def decontaminate(
    train: Sequence[Question], evaluation: Sequence[Question], ngram: int, system_messages: Container[str] = ()
) -> tuple[list[Question], list[Dropped]]:
    """Return `train` without its overlap with `evaluation`, and the questions that were dropped.

    A training question overlaps if it shares `ngram` words in a row with an evaluation question, passages included
    (Brown et al. 2020, appendix C). A shorter evaluation question must occur in full. A training question also overlaps
    if it shares a group with an evaluation question: nearly equal questions and questions about the same passage do.
    Words that a source puts into all its questions, and the contexts in `system_messages`, do not count.
    """
    if not evaluation:
        return list(train), []
    overlapping = _same_groups(train, evaluation) | _overlaps(train, evaluation, ngram, system_messages)
    separate = [question for question in train if question.id not in overlapping]
    return separate, [dropped(q, "in_evaluation_set", overlapping[q.id]) for q in train if q.id in overlapping]


def _same_groups(train: Sequence[Question], evaluation: Sequence[Question]) -> dict[str, str]:
    groups = {question.group: question.id for question in reversed(evaluation)}
    return {question.id: groups[question.group] for question in train if question.group in groups}


def _overlaps(
    train: Sequence[Question], evaluation: Sequence[Question], ngram: int, system_messages: Container[str]
) -> dict[str, str]:
    texts = [(question, _texts(question, system_messages)) for question in evaluation]
    forms = _forms(texts)
    index: dict[Gram, str] = {}
    for question, question_texts in texts:
        for tokens in question_texts:
            size = min(ngram, len(tokens))
            if size >= min(SHORTEST_NGRAM, ngram):
                for gram in _grams(tokens, size):
                    if not any(part in forms[question.source] for part in _grams(gram, SHORTEST_NGRAM)):
                        index.setdefault(gram, question.id)
    sizes = sorted({len(gram) for gram in index}, reverse=True)
    overlapping: dict[str, str] = {}
    for question in train:
        tokens = words(f"{question.background} {question.question}")
        hit = next((index[gram] for size in sizes for gram in _grams(tokens, size) if gram in index), None)
        if hit is not None:
            overlapping[question.id] = hit
    return overlapping


def _forms(texts: Sequence[tuple[Question, list[list[str]]]]) -> dict[str, set[Gram]]:
    """By source: the word n-grams that belong to the form of all its questions."""
    groups: dict[str, dict[Gram, set[str]]] = defaultdict(lambda: defaultdict(set))
    everywhere: dict[str, set[str]] = defaultdict(set)
    for question, question_texts in texts:
        everywhere[question.source].add(question.group)
        for tokens in question_texts:
            for gram in _grams(tokens, SHORTEST_NGRAM):
                groups[question.source][gram].add(question.group)
    return {
        source: {
            gram
            for gram, questions_with in by_gram.items()
            if len(questions_with) >= max(FORM_LEAST, FORM_SHARE * len(everywhere[source]))
        }
        for source, by_gram in groups.items()
    } | {source: set() for source in everywhere if source not in groups}


def _texts(question: Question, system_messages: Container[str]) -> list[list[str]]:
    background = question.background
    if question.context in system_messages:
        background = background.removesuffix(question.context or "")
    return [words(text) for text in (background, question.question) if text]


def _grams(tokens: Sequence[str], size: int) -> Iterator[Gram]:
    return (tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1))
