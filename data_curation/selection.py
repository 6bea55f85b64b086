"""Select the questions to ask: load them, remove duplicates and overlap with evaluation sets, draw the mixture."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import median_low
from typing import TypeVar

from calibration_tuning.config.questions import MixtureEntry
from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import UserError
from calibration_tuning.records import Demonstration, FewShotBy, Question, block_of
from calibration_tuning.runs.files import fingerprint
from calibration_tuning.runs.progress import progress
from data_curation.decontamination import decontaminate
from data_curation.duplicates import Dropped, drop_duplicates, dropped
from data_curation.question_sets import Loaded, load_questions, local_file, reference

Q = TypeVar("Q", bound=Question)
CANDIDATES = 10
"""Demonstrations are chosen from so many times their number, a half of which are too long."""


@dataclass
class Selection:
    asked: list[Question]
    """Of sets with role train."""
    evaluation: list[Question]
    demonstrations: dict[str, list[Demonstration]]
    """By block: the right answers shown before questions of that block."""
    dropped: list[Dropped] = field(default_factory=list)
    """Every row and question that was left out for a reason."""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By source: rows, then how many were left after each step, to `asked`."""
    read: dict[str, str] = field(default_factory=dict)
    """By source: fingerprint of the questions as they were read, whatever hub, file or template they came through."""


def select(config: RunConfig, fits: Callable[[Question, Sequence[Demonstration]], bool]) -> Selection:
    """`fits(question, demonstrations)` says whether a question's prompt is within the model's context."""
    settings = config.curation
    near, ngram = settings.near_duplicates, settings.decontamination_ngram
    selection = Selection([], [], {})
    held_out = {entry.source for entry in config.questions if entry.role == "evaluation"}
    system_messages: set[str] = set()
    read = _read(config, selection, system_messages)
    pools = _few_shot_pools(config, system_messages)
    together, repeated = drop_duplicates([*read, *chain(*pools.values())], near, held_out, system_messages)
    pooled = {question.id for question in chain(*pools.values())}
    unique = [question for question in together if question.id not in pooled]
    _note(selection, "distinct", unique, [drop for drop in repeated if drop.id not in pooled])
    evaluation = [question for question in unique if question.source in held_out]
    train = [question for question in unique if question.source not in held_out]
    train, contaminated = decontaminate(train, evaluation, ngram, system_messages)
    _note(selection, "decontaminated", [*train, *evaluation], contaminated)

    originals = _originals(together, repeated)
    separate = {}
    for source, pool in pools.items():
        asked = [question for question in unique if question.source == source or question.source in held_out]
        separate[source] = decontaminate(_distinct(pool, originals, source), asked, ngram, system_messages)[0]
        if not separate[source]:
            print(f"warning: {source}: no demonstrations are left in its few-shot split", file=sys.stderr)
    askable = _demonstrations(config, selection, [*train, *evaluation], separate)

    def in_context(question: Question) -> bool:
        return fits(question, selection.demonstrations.get(block_of(question, settings.few_shot_by), []))

    # A demonstration of the query takes its whole group out, hence a few questions more than the splits need.
    sizes = settings.sizes
    wanted = sizes.total - sizes.train + round(settings.oversample * sizes.train) + 3 * settings.query_few_shot
    entries = [entry for entry in config.questions if entry.role == "train"]
    selection.asked, too_long = draw(
        [q for q in askable if q.source not in held_out], entries, wanted, config.seed, in_context
    )
    for entry in (entry for entry in config.questions if entry.role == "evaluation"):
        candidates = [question for question in askable if question.source == entry.source]
        chosen, long = _in_turn(candidates, entry.count or len(candidates), config.seed, in_context)
        selection.evaluation += chosen
        too_long += long
    _note(selection, "asked", [*selection.asked, *selection.evaluation], too_long)
    if too_long:
        print(
            f"warning: question {too_long[0].id} does not fit into the model's context together with its "
            f"demonstrations; {len(too_long):,} such questions are skipped",
            file=sys.stderr,
        )
    return selection


def _read(config: RunConfig, selection: Selection, system_messages: set[str]) -> list[Question]:
    """All questions, each set in an order that depends on the seed: of near-duplicates, the first is kept. Adds to
    `system_messages`."""
    everything: list[Question] = []
    with progress(len(config.questions), "reading", "sets") as bar:
        for entry in config.questions:
            loaded = load_questions(entry, entry.split)
            _report_bad_rows(entry, loaded, selection)
            selection.read[entry.source] = fingerprint([[q.id, q.shown, q.references] for q in loaded.questions])
            everything += shuffled(loaded.questions, config.seed)
            system_messages |= loaded.system_messages
            bar.update(1)
    return everything


def _demonstrations(
    config: RunConfig, selection: Selection, questions: Sequence[Question], separate: Mapping[str, Sequence[Question]]
) -> list[Question]:
    """Choose the demonstrations of every block, store them in `selection`, and return the questions that remain to be
    asked.

    If a set has a few-shot split, they come from it (`separate`, by source). Otherwise they come from `questions`.
    Questions of their groups are not asked.
    """
    shots, by, seed = config.curation.answer_few_shot, config.curation.few_shot_by, config.seed
    shown: dict[str, list[Demonstration]] = {}
    used_groups: set[str] = set()
    for members in [[q for q in questions if q.source not in separate], *separate.values()]:
        chosen, remaining = take_demonstrations(members, shots, by, seed)
        shown |= chosen
        used_groups |= {question.group for question in members} - {question.group for question in remaining}
    askable = [question for question in questions if question.group not in used_groups]
    selection.demonstrations = {block: shown[block] for block in sorted(shown)}
    asked = {question.id for question in askable}
    _note(selection, "askable", askable, [dropped(q, "demonstration") for q in questions if q.id not in asked])
    return askable


def take_demonstrations(
    questions: Sequence[Question], per_block: int, by: FewShotBy, seed: int
) -> tuple[dict[str, list[Demonstration]], list[Question]]:
    """Answer demonstrations for each block, and the questions that are left: whole groups leave with them.

    Drawn from the shorter half of a block's questions, as they are part of every prompt, and never more than half of
    the block. A question with earlier turns means little without them, so it is not shown.
    """
    blocks: dict[str, list[Question]] = defaultdict(list)
    for question in shuffled(questions, seed):
        blocks[block_of(question, by)].append(question)
    shown = {}
    for block, members in blocks.items():
        middle = median_low(len(question.text) for question in members)
        short = [q for q in members if len(q.text) <= middle and not q.earlier]
        shown[block] = short[: min(per_block, len(members) // 2)]
    groups = {q.group for chosen in shown.values() for q in chosen}
    demonstrations = {
        block: [Demonstration(question=q.text, answer=q.target) for q in chosen] for block, chosen in shown.items()
    }
    return demonstrations, [q for q in questions if q.group not in groups]


def draw(
    questions: Sequence[Question],
    entries: Sequence[MixtureEntry],
    total: int,
    seed: int,
    fits: Callable[[Question], bool] = lambda question: True,
) -> tuple[list[Question], list[Dropped]]:
    """`total` questions by the counts and weights of their sets, the subjects of a set in turn; and those too long.

    What a small set cannot give the others make up for, by weight. Raises `UserError` if there are too few in all.
    """
    by_source: dict[str, list[Question]] = {entry.source: [] for entry in entries}
    for question in questions:
        by_source[question.source].append(question)
    available = {source: len(candidates) for source, candidates in by_source.items()}
    if (counted := sum(entry.count or 0 for entry in entries)) > total:
        raise UserError(f"questions: the counts ask for {counted}, but curation.sizes take {total} in all; lower them")
    while True:
        shares = share_out(entries, available, total)
        if sum(shares.values()) < total:
            raise UserError(
                f"curation.sizes: {total} questions are wanted in all, but the sets give only {sum(shares.values())} "
                "(distinct, not in evaluation sets, not shown as demonstrations, short enough for the model's context, "
                "within their counts); add question sets or ask for fewer"
            )
        drawn = {source: _in_turn(candidates, shares[source], seed, fits) for source, candidates in by_source.items()}
        short = {source: len(chosen) for source, (chosen, _) in drawn.items() if len(chosen) < shares[source]}
        if not short:
            break
        available |= short  # what does not fit is made up for by the others
    return [q for chosen, _ in drawn.values() for q in chosen], [d for _, long in drawn.values() for d in long]


def share_out(entries: Sequence[MixtureEntry], available: dict[str, int], total: int) -> dict[str, int]:
    """Questions per set: counts first, the rest by weight among the others, none more than it has."""
    shares = {e.source: min(e.count, available[e.source]) for e in entries if e.count is not None}
    open_sets = {e.source: e.weight for e in entries if e.count is None}
    while open_sets:
        rest = total - sum(shares.values())
        unit = rest / sum(open_sets.values())
        full = [source for source, weight in open_sets.items() if weight * unit >= available[source]]
        if not full:
            exact = {source: weight * unit for source, weight in open_sets.items()}
            shares |= {source: int(value) for source, value in exact.items()}
            # Largest remainders, so that the shares add up.
            order = sorted(exact, key=lambda source: (int(exact[source]) - exact[source], source))
            for source in order[: rest - sum(int(value) for value in exact.values())]:
                shares[source] += 1
            break
        for source in full:
            shares[source] = available[source]
            del open_sets[source]
    return shares


def shuffled(questions: Sequence[Q], seed: int) -> list[Q]:
    """Return the questions in an order that depends on the seed and on their texts, not on the order of files or
    rows."""

    def place(question: Q) -> tuple[bytes, str]:
        text = f"{seed}\n{question.source}\n{question.shown}\n{question.references[0]}"
        return hashlib.sha256(text.encode()).digest(), question.id

    return sorted(questions, key=place)


def _in_turn(
    questions: Sequence[Question], count: int, seed: int, fits: Callable[[Question], bool]
) -> tuple[list[Question], list[Dropped]]:
    """Return `count` questions that fit, and the questions that were passed over. Subjects take turns until they run
    out."""
    subjects: dict[str, list[Question]] = defaultdict(list)
    for question in reversed(shuffled(questions, seed)):
        subjects[question.subject].append(question)
    waiting = [subjects[subject] for subject in sorted(subjects)]
    chosen: list[Question] = []
    too_long: list[Dropped] = []
    while waiting and len(chosen) < count:
        for queue in waiting:
            if len(chosen) == count:
                break
            question = queue.pop()
            if fits(question):
                chosen.append(question)
            else:
                too_long.append(dropped(question, "too_long"))
        waiting = [queue for queue in waiting if queue]
    return chosen, too_long


def _few_shot_split(entry: MixtureEntry) -> str | None:
    """The split that demonstrations come from, if it differs from the split that is asked."""
    split = entry.few_shot_split or entry.train_split
    return None if split == entry.split or local_file(entry) is not None else split


def _few_shot_pools(config: RunConfig, system_messages: set[str]) -> dict[str, list[Question]]:
    """By source: candidates for demonstrations from a separate split. Adds to `system_messages`."""
    shots = config.curation.answer_few_shot
    pools: dict[str, list[Question]] = {}
    for entry in config.questions if shots else ():
        if (split := _few_shot_split(entry)) is None:
            continue
        loaded = load_questions(entry, split)
        system_messages |= loaded.system_messages
        # Enough to choose from: a whole training split need not be compared with everything.
        counts: Counter[str] = Counter()
        pool = pools[entry.source] = []
        for question in shuffled(loaded.questions, config.seed):
            block = block_of(question, config.curation.few_shot_by)
            if counts[block] < CANDIDATES * shots:
                counts[block] += 1
                names = {"id": f"{question.id} ({split})", "source": f"{entry.source} {split}"}
                pool.append(question.model_copy(update=names))
    return pools


def _originals(questions: Sequence[Question], drops: Sequence[Dropped]) -> dict[str, Question]:
    """By id: the kept question, for kept questions and for those that repeat them."""
    originals = {question.id: question for question in questions}
    firsts = {repeated.id: repeated.detail or "" for repeated in drops}
    for name in firsts:
        first = firsts[name]
        while first in firsts:
            first = firsts[first]
        originals[name] = originals[first]
    return originals


def _distinct(pool: Sequence[Question], originals: Mapping[str, Question], source: str) -> list[Question]:
    """Candidates of `source` that say different things, each in the group of what it repeats."""
    distinct: dict[str, Question] = {}
    for question in pool:
        original = originals[question.id]
        distinct.setdefault(original.id, question.model_copy(update={"source": source, "group": original.group}))
    return list(distinct.values())


def _note(selection: Selection, step: str, questions: Sequence[Question], drops: Sequence[Dropped]) -> None:
    sizes = Counter(question.source for question in questions)
    for source, counts in selection.counts.items():
        counts[step] = sizes[source]
    selection.dropped += drops


def _report_bad_rows(entry: MixtureEntry, loaded: Loaded, selection: Selection) -> None:
    selection.counts[entry.source] = {"rows": loaded.rows, "usable": len(loaded.questions)}
    selection.dropped += [Dropped(entry.source, f"row {number}", "bad_row", reason) for number, reason in loaded.bad]
    if loaded.bad:
        number, reason = loaded.bad[0]
        print(
            f"warning: {entry.path}, row {number}, {reason}; {len(loaded.bad):,} of {loaded.rows:,} rows are left out",
            file=sys.stderr,
        )
    for column, count in loaded.unshown.items():
        print(
            f"warning: {entry.path}: {count:,} of {len(loaded.questions):,} questions do not show the column "
            f'{column!r}; write context: "{{{{ {reference(column)} }}}}" under questions.{entry.source}, or context: '
            "null if the questions are meant without it",
            file=sys.stderr,
        )
