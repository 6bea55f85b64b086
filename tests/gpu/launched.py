"""Trainings by the files of launch/accelerate, one process each, side by side on a tiny model: each ends, and alike."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import make_tiny_model

ROOT = Path(__file__).parents[2]
FILES = ("single_gpu", "ddp_8gpu", "deepspeed_zero2", "deepspeed_zero3", "fsdp2")
LIMIT = 150.0
"""Seconds that all of them have together. The first training by DeepSpeed on a machine compiles."""
ALIKE = 0.01
"""How far the validation Brier scores of two strategies may be apart in bfloat16."""


def trainings(files: tuple[str, ...] = FILES, mixed_precision: str = "bf16") -> dict[str, Any]:
    """Return the validation Brier score that each file's training ends with. AssertionError unless they agree."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_run(folder)
        curated = run(folder, "curate", config)
        assert curated.wait(LIMIT) == 0, tail(folder, "curate")
        until = time.monotonic() + LIMIT
        started = {}
        for file in files:
            launch = write_launch(folder, file, mixed_precision)
            overrides = [f"name={file}", f"curated={folder}/runs/run/curation", "--launch", launch]
            started[file] = run(folder, file, config, *overrides)
        try:
            scores = {}
            for file, process in started.items():
                assert process.wait(max(1.0, until - time.monotonic())) == 0, f"{file}: {tail(folder, file)}"
                last = (folder / "runs" / file / "training.jsonl").read_text().splitlines()[-1]
                scores[file] = json.loads(last)["validation/brier"]
        finally:
            for process in started.values():
                process.terminate()
        assert max(scores.values()) - min(scores.values()) < ALIKE, scores
        return scores


def run(folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `curate` or, under a launch file's name, `train`."""
    command = name if name == "curate" else "train"
    words = [sys.executable, "-m", "calibration_tuning.cli", command, *arguments]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def tail(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text(errors="replace")[-1500:]


def write_run(folder: Path) -> str:
    make_tiny_model(folder / "model")
    questions = [{"id": str(i), "question": f"What is {i} plus {i % 7}?", "answer": str(i + i % 7)} for i in range(260)]
    answers = [{"id": row["id"], "answer": row["answer"] if i % 2 else "0"} for i, row in enumerate(questions)]
    for name, rows in (("questions", questions), ("answers", answers)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "name": "run",
        "output_dir": str(folder / "runs"),
        "model": {"path": str(folder / "model"), "prompt_format": "text", "minimal_answer_mass": 0},
        "questions": [{"path": str(folder / "questions.jsonl"), "grader": "numeric"}],
        "curation": {
            "sizes": {"train": 64, "validation": 32, "calibration": 48, "test": 48},
            "engine": {"kind": "recorded", "path": str(folder / "answers.jsonl")},
        },
        "training": {"batch_size": 16, "epochs": 2, "evaluations": 1, "lora": {"r": 2, "lora_dropout": 0.0}},
        "tracking": {"to": "none"},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(values))
    return str(folder / "run.yaml")


def write_launch(folder: Path, file: str, mixed_precision: str) -> str:
    text = (ROOT / "launch/accelerate" / f"{file}.yaml").read_text()
    text = re.sub("(?m)^num_processes: .*", "num_processes: 1", text)
    text = re.sub("(?m)^mixed_precision: .*", f"mixed_precision: '{mixed_precision}'", text)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    path = folder / f"{file}.yaml"
    path.write_text(f"{text}main_process_port: {port}\n")
    return str(path)
