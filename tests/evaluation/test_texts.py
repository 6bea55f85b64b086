"""Running text: the kinds of sources, windows of tokens, and what is read of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.metrics.token_calibration import TokenCalibration, full_ece
from evaluation.passes.text import read_windows, window_room
from evaluation.texts import read_documents, text_files, windows

DOCUMENTS = ["First document.", "Zweites Dokument: ä.", "Third."]


def source(folder: Path, kind: str) -> Path:
    lines = "".join(json.dumps({"text": text}) + "\n\n" for text in DOCUMENTS)
    path = folder / f"texts.{kind}"
    if kind == "jsonl":
        path.write_text(lines, encoding="utf-8")
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == "folder":
        (path / "deeper").mkdir(parents=True)
        for number, text in enumerate(DOCUMENTS):
            (path / ("deeper" if number == 2 else "") / f"{'abz'[number]}.{('txt', 'md', 'rst')[number]}").write_text(
                text
            )
        (path / "picture.png").write_bytes(b"\xff")
    return path


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "folder"])
def test_documents_of_every_kind_of_source(tmp_path: Path, kind: str) -> None:
    assert sorted(read_documents(TextSettings(path=str(source(tmp_path, kind))))) == sorted(DOCUMENTS)


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.\n\nStill one.")
    assert list(read_documents(TextSettings(path=str(tmp_path / "a.txt")))) == ["One.\n\nStill one."]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"other": "y"}\n', r"a\.jsonl, line 2: no JSON object with a column 'text'"),
        ("a.jsonl", b'{"text": "x"}\n\nnot json\n', r"a\.jsonl, line 3: no JSON object"),
        ("a.jsonl", b'["x"]\n', r"a\.jsonl, line 1: no JSON object"),
        ("a.jsonl", b'{"text": 3}\n', r"a\.jsonl, line 1, text: 3 is not text"),
        ("a.jsonl", b"\xff\xfe\n", r"a\.jsonl: cannot be read"),
        ("a.jsonl.gz", b"not gzip", r"a\.jsonl\.gz: cannot be read"),
        ("a.txt", b"\xff\xfe", r"a\.txt: cannot be read"),
        ("missing.jsonl", None, r"missing\.jsonl: there is no such file"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        list(read_documents(TextSettings(path=str(tmp_path / name))))


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no text file"):
        list(read_documents(TextSettings(path=str(tmp_path))))


def test_files_of_a_hub_set_are_not_local() -> None:
    assert text_files(TextSettings(path="ORG/NAME")) == []


def test_first_windows_of_all_documents_come_first() -> None:
    texts = ["a" * 7, "b", "c" * 5]  # one token a letter; a single token has nothing to predict
    rows = windows(texts, lambda text: [ord(c) for c in text], TextSettings(path="x", tokens=11, window=4))
    assert [(row.group, len(row.token_ids)) for row in rows] == [("text0", 4), ("text1", 4), ("text0", 3)]
    assert len({row.id for row in rows}) == 3


@pytest.mark.parametrize(
    ("tokens", "sizes"),
    [(5, [4, 2]), (6, [4, 2]), (7, [4, 3]), (1, [2])],  # two tokens at least, of which one predicts the other
)
def test_no_more_is_read_than_asked(tokens: int, sizes: list[int]) -> None:
    rows = windows(
        ["a" * 9, "b" * 9], lambda text: [ord(c) for c in text], TextSettings(path="x", tokens=tokens, window=4)
    )
    assert [len(row.token_ids) for row in rows] == sizes


def test_another_text_of_the_same_shape_has_other_ids() -> None:
    settings = TextSettings(path="x", tokens=10, window=4)
    ids = [{row.id for row in windows([text], lambda t: [ord(c) for c in t], settings)} for text in ("abcd", "abce")]
    assert not ids[0] & ids[1]


def test_a_text_without_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="no text of two tokens"):
        windows(["", "a"], lambda text: [ord(c) for c in text], TextSettings(path="x"))


@pytest.mark.parametrize("has_start", [False, True])
def test_windows_are_read_as_the_model_reads_them_whole(tiny: Any, has_start: bool) -> None:
    """Full-ECE and NLL of the windows' tokens, against logits of the whole windows."""
    model, tokenizer = tiny

    def encoded(text: str) -> Any:
        return SimpleNamespace(input_ids=[1] if has_start else [])

    prompt: Any = SimpleNamespace(tokenizer=encoded)
    texts = [tokenizer.encode(text, add_special_tokens=False) for text in ("What is the capital?", "Answer: ii")]
    seen = TokenCalibration(10)
    read_windows(model, prompt, texts, [0, 1], seen)
    logits: list[torch.Tensor] = []
    targets: list[int] = []
    for ids in texts:
        whole = [1, *ids] if has_start else ids
        with torch.no_grad():
            logits.append(model(torch.tensor([whole])).logits[0, :-1])
        targets += whole[1:]
    assert seen.positions == len(targets)
    assert seen.compute()["full_ece"] == pytest.approx(full_ece(torch.cat(logits), targets), abs=1e-6)
    nll = torch.nn.functional.cross_entropy(torch.cat(logits), torch.tensor(targets)).item()
    assert seen.compute()["nll"] == pytest.approx(nll, abs=1e-5)


def test_windows_that_the_model_cannot_read_are_refused() -> None:
    def encode(text: str) -> list[int]:
        return [ord(c) for c in text]

    assert len(windows(["abcd"], encode, TextSettings(path="x", window=4), room=4)) == 1
    with pytest.raises(UserError, match="windows of 5 tokens are longer than the 4 that the model reads"):
        windows(["abcd"], encode, TextSettings(path="x", window=5), room=4)


@pytest.mark.parametrize("has_start", [False, True])
def test_a_token_before_every_text_takes_room(tiny_model_path: Path, has_start: bool) -> None:
    def tokenizer(text: str) -> Any:
        return SimpleNamespace(input_ids=[1] if has_start else [])

    tokenizer.model_max_length = 10**9  # type: ignore[attr-defined]
    assert window_room(ModelSettings(path=str(tiny_model_path)), tokenizer) == 512 - has_start
