"""A tiny random model with a real tokenizer, made once for all workers of a session: the whole pipeline in seconds."""

from __future__ import annotations

import json
import os
import platform
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

if platform.machine() == "x86_64":
    # Expected values are of float32, which `auto` is where the processor does not multiply bfloat16. torch reads this
    # when it is imported, here and in all processes that tests start.
    os.environ["ATEN_CPU_CAPABILITY"] = "avx2"

from calibration_tuning.runs.locks import in_turn

CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe brief.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Folder of that name in which the first worker that asks has called a function; the other workers wait for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f".{name}.done"
        with in_turn(shared / f".{name}.lock"):
            if not done.exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_model_path(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Folder of a random two-layer Llama and a byte-level tokenizer with a chat template."""
    return made_once("tiny-model", make_tiny_model)


def make_tiny_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    corpus = ["Answer: ii\nAnswer: i\nii\nQuestion: What is the capital of France?\nIs the proposed answer correct?"]
    bpe.train_from_iterator(corpus * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT_TEMPLATE
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,  # large, so that different inputs give visibly different outputs
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def write_tiny_config(tiny_model_path: Path) -> Callable[[Path], Path]:
    """Writes into a folder a run on the tiny model with a local question file; everything lands in that folder."""

    def write(folder: Path) -> Path:
        questions = folder / "questions.jsonl"
        rows = [
            {"question": f"What is {a} plus {b}?", "answer": str(a + b), "subject": "odd" if a % 2 else "even"}
            for a in range(9)
            for b in range(9)
        ]
        questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = {
            "name": "tiny",
            "output_dir": str(folder / "runs"),
            # A random model answers with any token, so its two answers have little mass.
            "model": {
                "path": str(tiny_model_path),
                "dtype": "float32",
                "prompt_format": "text",
                "minimal_answer_mass": 0,
            },
            "questions": [{"source": "sums", "path": str(questions), "grader": "numeric"}],
            "curation": {
                "sizes": {"train": 24, "validation": 8, "calibration": 10, "test": 16},
                "answer_few_shot": 1,
                "query_few_shot": 2,
                "max_new_tokens": 3,
            },
            "training": {
                "batch_size": 4,
                "epochs": 1,
                "evaluations": 2,
                "learning_rate": 1e-2,
                "lora": {"r": 2, "lora_dropout": 0.0},
                # Fast, and never constant as a blend of signals may be that say nothing.
                "readout": "query",
            },
            "evaluation": {"bootstrap_samples": 100, "adapter_on_answers": 4},
            "tracking": {"wandb": "disabled"},
        }
        path = folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write


@pytest.fixture
def tiny_config_path(tmp_path: Path, write_tiny_config: Callable[[Path], Path]) -> Path:
    return write_tiny_config(tmp_path)


@pytest.fixture
def tiny(tiny_model_path: Path):
    """(model, tokenizer) of the tiny model, fresh for each test."""
    from calibration_tuning.config.model import ModelSettings
    from calibration_tuning.lm.models import load_model, load_tokenizer

    settings = ModelSettings(path=str(tiny_model_path), dtype="float32")
    return load_model(settings), load_tokenizer(settings)


BLOCK, HEADER = 32768, 7


def finished_records(path: Path) -> list[Any]:
    """The records of a finished run, of which `exit` is the last: `finish` returns some milliseconds before W&B's own
    process has written them."""
    deadline = time.monotonic() + 10
    while True:
        found = records(path)
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        assert time.monotonic() < deadline, f"{path}: no last record in ten seconds"
        time.sleep(0.01)


def records(path: Path) -> list[Any]:
    """W&B's transaction log: a header of seven bytes, then blocks of records in the format of LevelDB's log."""
    from wandb.proto import wandb_internal_pb2

    data, position, found, parts = path.read_bytes(), HEADER, [], b""
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + HEADER])
        position += HEADER
        if position + length > len(data):
            break  # it is being written
        parts += data[position : position + length]
        position += length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def history(path: Path) -> list[dict[str, Any]]:
    rows = []
    for record in finished_records(path):
        if record.WhichOneof("record_type") == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                *parents, name = item.nested_key or [item.key]
                inner = row
                for parent in parents:
                    inner = inner.setdefault(parent, {})
                inner[name] = json.loads(item.value_json)
            rows.append(row)
    return rows


@pytest.fixture(scope="session")
def wandb_records() -> Callable[[Path], list[Any]]:
    """Every record of a finished run's `.wandb` file."""
    return finished_records


@pytest.fixture(scope="session")
def wandb_history() -> Callable[[Path], list[dict[str, Any]]]:
    """What a run's `.wandb` file says was logged, row by row."""
    return history


@pytest.fixture(scope="session")
def tiny_run(
    made_once: Callable[[str, Callable[[Path], object]], Path], write_tiny_config: Callable[[Path], Path]
) -> Path:
    """Folder of a whole run on the tiny model: curated, trained, evaluated. Not to be written to."""

    from calibration_tuning.config.run import load_run_config
    from calibration_tuning.config.settings import to_yaml
    from calibration_tuning.runs.files import write_text
    from data_curation.__main__ import curate
    from evaluation.__main__ import evaluate
    from training.__main__ import train

    def make(folder: Path) -> None:
        config = load_run_config(write_tiny_config(folder), ["evaluation.error_rates=[0.1,0.9]"])
        for stage in (curate, train, evaluate):
            stage(config, False)
        write_text(config.run_dir / "config.yaml", to_yaml(config))

    return made_once("whole", make) / "runs" / "tiny"
