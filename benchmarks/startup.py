"""python -m benchmarks startup: what passes before the first line of help, and before the first training step.

Every way is a fresh process, in turn with an empty Python, after one warm-up. The demo's training, which curates its
set first if it is not there, is listed by part; `import` of a part is what it adds to those before it.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from functools import partial

import typer

from benchmarks.paired import machine, markdown, paired, table

EMPTY = "an empty Python"
WAYS = {
    EMPTY: ["-c", "pass"],
    "import typer, pydantic, yaml": ["-c", "import typer, pydantic, yaml"],
    "calibration-tuning --help": ["-m", "calibration_tuning.cli", "--help"],
    "calibration-tuning run CONFIG --print-config": ["-m", "calibration_tuning.cli", "run", "CONFIG", "--print-config"],
    "import torch": ["-c", "import torch"],
    "import calibration_tuning.metrics.token_calibration": [
        "-c",
        "import calibration_tuning.metrics.token_calibration",
    ],
    "import calibration_tuning.metrics.confidence": [
        "-c",
        "import calibration_tuning.metrics.confidence",
    ],
}


def main(config: str = "configs/demo.yaml", pairs: int = 7) -> None:
    def process(arguments: list[str]) -> None:
        command = [sys.executable, *[config if argument == "CONFIG" else argument for argument in arguments]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    ways = {name: partial(process, arguments) for name, arguments in WAYS.items()}
    timings = paired(ways, pairs, with_memory=False)
    print(machine("transformers", "peft", "accelerate") + "\n")
    print(table(timings, EMPTY))
    print("\nFrom the command to the first training step of the demo:\n")
    print(first_step(config))


def first_step(config: str) -> str:
    from calibration_tuning.config.run import load_run_config

    settings = load_run_config(config, [])
    if not (settings.curation_dir / "manifest.json").exists():
        subprocess.run([sys.executable, "-m", "data_curation", config], check=True, stdout=subprocess.DEVNULL)
    runs = []
    for _ in range(3):  # the first is the warm-up
        begun = time.time()
        command = [sys.executable, "-m", "benchmarks.startup", "--first-step", config]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        marks = [line.split("\t") for line in lines if "\t" in line]
        ends = [begun, *(float(mark[0]) for mark in marks)]
        durations = [end - start for start, end in itertools.pairwise(ends)]
        runs.append(dict(zip((name for _, name in marks), durations, strict=True)))
    rows = [[name, *(f"{run[name]:.2f}" for run in runs[1:])] for name in runs[0]]
    rows.append(["together", *(f"{sum(run.values()):.2f}" for run in runs[1:])])
    return markdown(["part", "seconds", "once more"], rows)


def parts(config: str) -> None:
    """What `python -m training` does up to its first step, and when each part was done."""

    def done(name: str) -> None:
        print(f"{time.time()}\t{name}", flush=True)

    done("Python, torch")
    import peft  # noqa: F401
    import transformers  # noqa: F401

    done("import transformers and peft")
    import datasets  # noqa: F401

    done("import datasets")
    from calibration_tuning.config.run import load_run_config
    from calibration_tuning.curated_set import CuratedSet
    from calibration_tuning.tracking.no_tracker import NoTracker
    from training.checkpoints import State
    from training.loop import one_step, validate
    from training.setup import build_run, load_inputs, uses_bf16
    from training.strategy import make_accelerator

    done("import of the rest")
    settings = load_run_config(config, [])
    inputs = load_inputs(settings, CuratedSet.read(settings.curation_dir))
    done("settings, curated set and tokenizer")
    state = State(inputs_fingerprint="", step=0, processes=1, wandb_id="")
    run = build_run(settings, inputs, make_accelerator(uses_bf16(settings)), state, None, NoTracker())
    done("model, adapter and examples")
    validate(run)
    done("validation of the untouched model")
    one_step(run, 0)
    done("first step")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--first-step"]:
        parts(sys.argv[2])
    else:
        typer.run(main)
