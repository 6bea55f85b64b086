"""The command, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import typer
from typer.testing import CliRunner

from evaluation.score import main

app = typer.Typer()
app.command()(main)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments] + ["--bootstrap", "100"])


def pairs(n: int = 120) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    p = generator.random(n)
    return pd.DataFrame({"p": p, "right": (generator.random(n) < p).astype(int), "who": np.arange(n) // 4})


def written(folder: Path, kind: str, frame: pd.DataFrame) -> Path:
    path = folder / f"pairs.{kind}"
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "json": lambda: frame.to_json(path, orient="records"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }[kind]()
    return path


def logits(n: int = 600, k: int = 20) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, k, generator=generator) * 2
    targets = torch.multinomial(z.softmax(-1), 1, generator=generator).squeeze(1)
    return z, targets, torch.arange(n) // 5
