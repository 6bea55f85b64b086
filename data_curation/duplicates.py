"""Questions that are the same, or nearly: found by MinHash, kept once, and never on two sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from datasketch import MinHash, MinHashLSH
from scipy.cluster.hierarchy import DisjointSet

from calibration_tuning.grading.graders import normalise
from calibration_tuning.records import Question
from calibration_tuning.runs.progress import progress
from data_curation.plain_text import plain_text, words

Array = np.ndarray
Contexts = Mapping[str | None, str]
SHINGLE = 3
PERMUTATIONS = 128
# What a fifth of a source's questions (and at least ten) have in common is its form of asking, not what is asked.
FORM_SHARE, FORM_LEAST = 0.2, 10
# A context of fewer words is a label. A context that more than half of a source's questions have belongs to their form.
PASSAGE_WORDS, PASSAGE_SHARE = 6, 0.5


@dataclass(frozen=True)
class Dropped:
    """A row or question that is left out, and why."""

    source: str
    id: str
    reason: str
    detail: str | None = None


def dropped(question: Question, reason: str, detail: str | None = None) -> Dropped:
    return Dropped(question.source, question.id, reason, detail)


def shingles(text: str) -> frozenset[str]:
    """Word 3-grams, with the ends of the text marked, so that one changed word matters in a short question."""
    tokens = ["^", *words(text), "$"]
    return frozenset(" ".join(tokens[i : i + SHINGLE]) for i in range(max(1, len(tokens) - SHINGLE + 1)))


def near_duplicates(sets: Sequence[frozenset[str]], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, whose shingles have a Jaccard similarity of at least `threshold`, in the order of j.

    MinHash proposes pairs (Broder 1997), the exact similarity decides, so nothing dissimilar is called a duplicate.
    Proposed are pairs from three quarters of the threshold, so that hardly any just above it is missed.
    """
    # datasketch chooses the bands. Its index would keep 9 KiB a question; signatures and `_earlier` keep 1.
    lsh = MinHashLSH(threshold=0.75 * threshold, num_perm=PERMUTATIONS, weights=(0.2, 0.8))
    numbers = [number for number, members in enumerate(sets) if members]
    signatures = np.empty((len(numbers), PERMUTATIONS), dtype=np.uint32)  # MinHash values have 32 bits
    hashes = MinHash.generator(([s.encode() for s in sets[number]] for number in numbers), num_perm=PERMUTATIONS)
    with progress(len(numbers), "hashing", "questions") as bar:
        for row, hashed in zip(signatures, hashes, strict=True):
            row[:] = hashed.hashvalues
            bar.update(1)
    with progress(len(numbers), "comparing", "questions") as bar:
        for place, before in _earlier(signatures, lsh.b, lsh.r):
            bar.update(place - bar.n)
            j = numbers[place]
            yield from (
                (i, j) for i in (numbers[position] for position in before) if _alike(sets[i], sets[j], threshold)
            )
        bar.update(bar.total - bar.n)


def _earlier(signatures: Array, bands: int, width: int) -> Iterator[tuple[int, list[int]]]:
    """Rows j of the signatures [n, P], each with the rows i < j that have one of its `bands` of `width` values."""
    rows = np.arange(len(signatures), dtype=np.int32)
    orders, begins, places = (np.empty((bands, len(rows)), dtype=np.int32) for _ in range(3))
    for band in range(bands):
        band_signatures = signatures[:, band * width : (band + 1) * width]
        order = np.lexsort(band_signatures.T)  # stable: equal rows stay in their order
        is_new = np.append([True], (band_signatures[order[1:]] != band_signatures[order[:-1]]).any(1))[: len(rows)]
        orders[band], places[band, order] = order, rows
        begins[band, order] = np.maximum.accumulate(np.where(is_new, rows, 0))
    for j in np.flatnonzero((begins < places).any(0)).tolist():
        ends = zip(orders, begins[:, j], places[:, j], strict=True)
        yield j, np.unique(np.concatenate([order[begin:end] for order, begin, end in ends])).tolist()


def drop_duplicates(
    questions: Sequence[Question],
    threshold: float,
    evaluation: Container[str] = (),
    system_messages: Container[str] = (),
) -> tuple[list[Question], list[Dropped]]:
    """Keep the first of the questions with the same text and the same answer.

    Questions of the sources in `evaluation` come first, so their copies elsewhere are dropped. A nearly equal question
    with another answer (the same story with other numbers), another question about the same passage, and a question of
    the same group are kept. They join the group, so they stay on one side of a split. The contexts in `system_messages`
    do not count as passages.
    """
    drops: list[Dropped] = []
    groups = DisjointSet()

    def drop(question: Question, reason: str, first: Question) -> None:
        crosses = first.source in evaluation and question.source not in evaluation
        drops.append(dropped(question, "in_evaluation_set" if crosses else reason, first.id))

    contexts = _contexts(questions)
    passages = _passages(questions, {raw: text for raw, text in contexts.items() if raw not in system_messages})
    seen: dict[tuple[str, str], Question] = {}
    asked: dict[str, Question] = {}
    about: dict[str, Question] = {}
    for question in sorted(questions, key=lambda q: q.source not in evaluation):
        text = plain_text(f"{question.background} {question.question}")
        key = text, normalise(question.references[0])
        groups.add(question.group)
        groups.merge(asked.setdefault(text, question).group, question.group)
        if (context := contexts.get(question.context, "")) in passages:
            groups.merge(about.setdefault(context, question).group, question.group)
        if seen.setdefault(key, question) is not question:
            drop(question, "duplicate", seen[key])
    unique = list(seen.values())
    nearly: set[int] = set()
    if threshold < 1:
        answers = [answer for _, answer in seen]
        sets, owners = _compared(unique, contexts, passages)
        alone = sets
        if any(question.background for question in unique):
            alone = _without_form([q.source for q in unique], [shingles(q.question) for q in unique])
        for i, j in near_duplicates(sets, threshold):
            group_i, group_j = owners[i], owners[j]
            if group_i is None or group_j is None:
                continue
            groups.merge(group_i, group_j)
            same_answer = j < len(unique) and answers[i] == answers[j] and group_i != group_j
            if same_answer and _alike(alone[i], alone[j], threshold) and not {i, j} & nearly:
                nearly.add(j)
                drop(unique[j], "near_duplicate", unique[i])
    first: dict[str, str] = {}  # name of each joined group, whatever the order in which it was joined
    names = {group: first.setdefault(groups[group], group) for group in groups}
    distinct = [
        q if names[q.group] == q.group else q.model_copy(update={"group": names[q.group]})
        for i, q in enumerate(unique)
        if i not in nearly
    ]
    return distinct, drops


def _contexts(questions: Sequence[Question]) -> Contexts:
    """The contexts that are long enough to be read, with their plain texts."""
    contexts = {question.context for question in questions if question.context}
    return {context: plain_text(context) for context in contexts if len(words(context)) >= PASSAGE_WORDS}


def _passages(questions: Sequence[Question], contexts: Contexts) -> set[str]:
    """The plain texts that questions are about. One that is the form of asking in every source that has it is none."""
    sizes = Counter(question.source for question in questions)
    shares = Counter((contexts[q.context], q.source) for q in questions if q.context in contexts)
    everywhere: Counter[str] = Counter()
    for (text, _), count in shares.items():
        everywhere[text] += count
    return {
        text
        for (text, source), count in shares.items()
        if count <= PASSAGE_SHARE * sizes[source] or everywhere[text] < FORM_LEAST
    }


def _compared(
    questions: Sequence[Question], contexts: Contexts, passages: Container[str]
) -> tuple[list[frozenset[str]], list[str | None]]:
    """The shingles of each question, then those of each context that several questions share; and the group of each.

    A shared context is compared once, and its questions are compared without it. The shingles of questions about a
    passage are marked, so that they match no other questions. A context that is not a passage has no group: a similar
    text is unrelated to its questions.
    """
    below: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        if question.context in contexts:
            below[contexts[question.context]].append(question)
    shared = {text: members for text, members in below.items() if len(members) > 1}
    marks = {text: f"{number} " if text in passages else "" for number, text in enumerate(shared)}
    question_marks = [marks.get(contexts.get(question.context, "")) for question in questions]
    texts = [
        f"{q.background.removesuffix(q.context or '') if mark is not None else q.background} {q.question}"
        for q, mark in zip(questions, question_marks, strict=True)
    ]
    sets = _without_form(
        [*(q.source for q in questions), *(members[0].source for members in shared.values())],
        [shingles(text) for text in (*texts, *shared)],
    )
    for i, mark in enumerate(question_marks):
        if mark:
            sets[i] = frozenset(mark + shingle for shingle in sets[i])
    owners = [members[0].group if text in passages else None for text, members in shared.items()]
    return sets, [*(question.group for question in questions), *owners]


def _without_form(sources: Sequence[str], sets: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The shingles of each text without those that belong to the form its source gives to all."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    sizes = Counter(sources)
    for source, shingles in zip(sources, sets, strict=True):
        counts[source].update(shingles)
    form = {
        source: {s for s, n in frequency.items() if n >= max(FORM_LEAST, FORM_SHARE * sizes[source])}
        for source, frequency in counts.items()
    }
    return [shingles - form[source] for source, shingles in zip(sources, sets, strict=True)]


def _alike(first: frozenset[str], second: frozenset[str], threshold: float) -> bool:
    return len(first & second) >= threshold * len(first | second)
