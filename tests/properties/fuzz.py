"""python -m tests.properties.fuzz TARGET [libFuzzer options]: bytes that atheris steers into what reads people's files.

`make fuzz` gives each target two minutes. Where it finds a way to anything but rows or one sentence, it leaves the
bytes in `crash-*`, which the same command takes as its argument. A test runs a fixed number of inputs with a fixed
seed.
"""

from __future__ import annotations

import contextlib
import gzip
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["calibration_tuning", "data_curation", "yaml", "json", "csv"],
    exclude=["calibration_tuning.command_line"],
):
    from calibration_tuning.config.run import load_run_config
    from calibration_tuning.errors import UserError
    from tests.properties.reading import KINDS, rows_or_one_sentence

FOLDER = Path(tempfile.mkdtemp())
SEEDS = {
    "question_file": [
        bytes([number]) + content
        for number, kind in enumerate(KINDS)
        for content in (
            b'{"question": "What is 1 plus 1?", "answer": ["2", "two"], "choices": null}\n{"a": 1e999}\n',
            b'[{"question": "\\ud800", "answer": 2}]',
            b'question,answer\r\n"a ""b""\nc",d\r\n',
        )
        for content in ([gzip.compress(content)] if kind.endswith(".gz") else [content])
    ],
    "settings": [path.read_bytes() for path in sorted(Path("configs").glob("*.yaml"))],
}


def question_file(data: bytes) -> None:
    """The first byte picks the kind of file."""
    path = FOLDER / f"rows.{KINDS[data[0] % len(KINDS)] if data else 'jsonl'}"
    path.write_bytes(data[1:])
    rows_or_one_sentence(path)


def settings(data: bytes) -> None:
    path = FOLDER / "run.yaml"
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        load_run_config(path, [])


TARGETS: dict[str, Callable[[bytes], None]] = {"question_file": question_file, "settings": settings}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"TARGET is one of {', '.join(TARGETS)}")
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(seed)
    options = sys.argv[2:]
    inputs = [] if any(Path(option).is_file() for option in options) else [str(corpus)]
    atheris.Setup([sys.argv[0], *options, *inputs], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
