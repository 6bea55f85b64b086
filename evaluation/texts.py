"""Running text, cut into windows of tokens that a pass can look at."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.errors import UserError, reason
from calibration_tuning.records import GradedAnswer
from calibration_tuning.runs.files import fingerprint

SOURCE = "text"
LINES = (".jsonl", ".jsonl.gz")
PLAIN = (".txt", ".md", ".rst")


def text_files(settings: TextSettings) -> list[Path]:
    """The local files that the documents come from, sorted; none of a data set on the hub. Raises `UserError` for a
    file that is not there."""
    path = Path(settings.path)
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.name.lower().endswith(PLAIN))
    if path.name.lower().endswith((*LINES, *PLAIN)) and not path.is_file():
        raise UserError(f"{path}: there is no such file")
    return [path] if path.is_file() else []


def read_documents(settings: TextSettings) -> Iterator[str]:
    """The documents, one at a time: the lines of a jsonl file (`column`), the text files of a folder, a single text
    file, or the rows of a data set on the hub.

    Raises `UserError` with the file and line, or the data set, that cannot be read, and for a folder without texts.
    """
    path = Path(settings.path)
    files = text_files(settings)
    if path.is_dir() and not files:
        raise UserError(f"{path}: holds no text file ({', '.join(PLAIN)})")
    if not files:
        yield from _hub_rows(settings)
    for file in files:
        try:
            if file.name.lower().endswith(LINES):
                yield from _lines(file, settings.column)
            else:
                yield file.read_text(encoding="utf-8")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: cannot be read ({reason(error)})") from None


def windows(
    documents: Iterable[str], encode: Callable[[str], list[int]], settings: TextSettings, room: int | None = None
) -> list[GradedAnswer]:
    """Return windows of at most `settings.window` tokens, with `settings.tokens` tokens in all if the texts have as
    many.

    A last window of a single token would have nothing to predict, so it takes one token more. The first windows of all
    documents come first, then the second windows, and so on: intervals resample documents, so there should be many. A
    window has the form of an answer to an empty question, as the passes need it. Its group is its document.

    Raises `UserError` for texts without a token to predict, and for windows longer than `room`, the tokens that the
    model reads.
    """
    if room is not None and settings.window > room:
        raise UserError(
            f"{settings.path}: windows of {settings.window} tokens are longer than the {room} that the model reads"
        )
    encoded: list[list[int]] = []
    count = 0
    for text in documents:
        ids = encode(text)
        if len(ids) >= 2:
            encoded.append(ids)
            count += min(len(ids), settings.window)
        if count >= settings.tokens:
            break
    if not encoded:
        raise UserError(f"{settings.path}: holds no text of two tokens or more")
    rows: list[GradedAnswer] = []
    total = 0
    for start in range(0, max(map(len, encoded)), settings.window):
        for number, ids in enumerate(encoded):
            part = ids[start : start + settings.window][: max(2, settings.tokens - total)]
            if len(part) >= 2 and total < settings.tokens:
                rows.append(_window(number, start, part))
                total += len(part)
    return rows


def _window(document: int, start: int, ids: list[int]) -> GradedAnswer:
    # The tokens are part of the id, so that measurements of another text under the same name are not used for this
    # text.
    return GradedAnswer(
        id=f"{document}-{start}-{fingerprint(ids)[:12]}",
        source=SOURCE,
        subject=SOURCE,
        group=f"{SOURCE}{document}",
        question="",
        references=[""],
        grader="exact",
        answer="",
        token_ids=ids,
        token_logprobs=[],
        correct=0.0,
    )


def _lines(file: Path, column: str) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)[column]
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{file}, line {number}: no JSON object with a column {column!r}") from None
            if not isinstance(text, str):
                raise UserError(f"{file}, line {number}, {column}: {text!r} is not text")
            yield text


def _hub_rows(settings: TextSettings) -> Iterator[str]:
    import datasets

    try:
        rows = datasets.load_dataset(settings.path, settings.name, split=settings.split, streaming=True)
        for row in rows:
            yield str(row[settings.column])
    except KeyError:
        raise UserError(f"{settings.path}: has no column {settings.column!r}") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{settings.path}: neither a text file nor a data set that can be read ({reason(error)})"
        ) from None
