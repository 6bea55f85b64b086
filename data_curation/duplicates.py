"""Questions that are the same, or nearly: found by MinHash, kept once, and never on two sides of a split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from datasketch import MinHash, MinHashLSH

from calibration_tuning.grading.graders import normalise
from calibration_tuning.records import Question
from calibration_tuning.runs.progress import progress

Array = np.ndarray
_WORD = re.compile(r"\w+|[^\w\s]")
SHINGLE = 3
PERMUTATIONS = 128
# What a fifth of a source's questions (and at least ten) have in common is its form of asking, not what is asked.
FORM_SHARE, FORM_LEAST = 0.2, 10


@dataclass(frozen=True)
class Dropped:
    """A row or question that is left out, and why."""

    source: str
    id: str
    reason: str
    detail: str | None = None


def dropped(question: Question, reason: str, detail: str | None = None) -> Dropped:
    return Dropped(question.source, question.id, reason, detail)


def words(text: str) -> list[str]:
    """Lower-case words and symbols."""
    return _WORD.findall(text.casefold())


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
    questions: Sequence[Question], threshold: float, evaluation: Container[str] = ()
) -> tuple[list[Question], list[Dropped]]:
    """Keep the first of the questions that ask the same and have the same answer; those of the sources in `evaluation`
    come first, so a copy elsewhere is the one that goes.

    What is nearly equal but has another answer (the same story with other numbers), another question about the same
    passage, or the same group already, is another question; it joins the group, and so stays on one side of a split.
    """
    gone: list[Dropped] = []
    groups = _Groups()

    def drop(question: Question, reason: str, first: Question) -> None:
        crosses = first.source in evaluation and question.source not in evaluation
        gone.append(dropped(question, "in_evaluation_set" if crosses else reason, first.id))

    seen: dict[tuple[str, str], Question] = {}
    asked: dict[str, Question] = {}
    for question in sorted(questions, key=lambda q: q.source not in evaluation):
        text, _ = key = _key(question)
        groups.join(asked.setdefault(text, question).group, question.group)
        if seen.setdefault(key, question) is not question:
            drop(question, "duplicate", seen[key])
    unique = list(seen.values())
    nearly: set[int] = set()
    if threshold < 1:
        alone = _without_form(unique, [shingles(question.question) for question in unique])
        whole = alone
        if any(question.background for question in unique):
            whole = _without_form(unique, [shingles(f"{q.background} {q.question}") for q in unique])
        for i, j in near_duplicates(whole, threshold):
            groups.join(unique[i].group, unique[j].group)
            same_answer = _key(unique[i])[1] == _key(unique[j])[1] and unique[i].group != unique[j].group
            if same_answer and _alike(alone[i], alone[j], threshold) and not {i, j} & nearly:
                nearly.add(j)
                drop(unique[j], "near_duplicate", unique[i])
    kept = [
        q if groups.of(q.group) == q.group else q.model_copy(update={"group": groups.of(q.group)})
        for i, q in enumerate(unique)
        if i not in nearly
    ]
    return kept, gone


def _without_form(questions: Sequence[Question], sets: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The shingles of each question without those that belong to the form its source gives to all."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    sizes = Counter(question.source for question in questions)
    for question, shingles in zip(questions, sets, strict=True):
        counts[question.source].update(shingles)
    form = {
        source: {s for s, n in frequency.items() if n >= max(FORM_LEAST, FORM_SHARE * sizes[source])}
        for source, frequency in counts.items()
    }
    return [shingles - form[question.source] for question, shingles in zip(questions, sets, strict=True)]


def _alike(first: frozenset[str], second: frozenset[str], threshold: float) -> bool:
    return len(first & second) >= threshold * len(first | second)


def _key(question: Question) -> tuple[str, str]:
    text = " ".join(f"{question.background} {question.question}".casefold().split())
    return text, normalise(question.references[0])


class _Groups:
    """Disjoint sets of group names; each is known by the name that was there first."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, name: str) -> str:
        while name in self._parent:
            name = self._parent[name]
        return name

    def join(self, first: str, second: str) -> None:
        first, second = self.of(first), self.of(second)
        if first != second:
            self._parent[second] = first
