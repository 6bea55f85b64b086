"""python -m benchmarks NAME [OPTION ...]: a benchmark; each has its own `--help`. NAME `all`: those of speed."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = {
    "token_metrics": "Full-ECE and its companions against a user's own code, torchmetrics, netcal and PyCalib",
    "head_metrics": "the same from hidden states, against the vocabulary projection alone",
    "training_step": "a step against the paper's schedule: rows, block, batching, precision",
    "sft_step": "a step against TRL's SFTTrainer on the same tokens",
    "answering": "answers a second against plain generate and lm-evaluation-harness",
    "cloze": "scored choices a second against lm-evaluation-harness",
    "intervals": "intervals of every metric, all resamples at once against one after the other",
    "growth": "time and memory of every stage as examples grow",
    "startup": "what passes before the first line of help, and before the first training step",
    "training_memory": "the memory model of `preflight` against the memory that steps take",
    "gpu_paper": "kernels, FLOPs, waits and modelled time of a 7B step on one of 8 GPUs, counted without a GPU",
    "precision": "confidences and metrics of a tuned checkpoint in bfloat16 against float32",
    "coverage": "how often intervals of Brier, NLL, AUROC, AURC, PRR, accuracy and resolution contain the truth",
    "interval_coverage": "how often intervals of calibration errors contain the truth",
    "calibrated_null": "whether what chance alone makes of a calibration error is known",
    "thresholds": "how often answers above a threshold are wrong more often than promised",
    "drift_alarms": "how often the alarm of `monitor` is false, and how soon it sees a shift",
    "resplits": "what drawing the test split by its labels does to the numbers",
    "token_temperature": "What a temperature on the token logits does to Full-ECE, for all positions or for each",
    "text_full_ece": "Full-ECE of language models on one openly licensed text",
    "graders": "false accepts and false rejects of every grader on real questions",
    "judge": "how far a judge model agrees with hand-labelled grades, beside exact and fuzzy",
    "readout_fit": "the probe of 10,000 answers of a 7B model, on principal components and on all of the states",
    "result_tables": "the tables of docs/results.md, out of evaluated runs",
    "loaded_answers": "right answers and confidence of a loaded checkpoint that writes its answers itself",
    "claims": "how well confidences of claims tell right from wrong, on texts of known claims",
    "readouts": "what each part of the stacked readout is worth, by the number of calibration answers",
    "methods": "training methods and objectives on one curated set (hours)",
}
SPEED = (
    "token_metrics",
    "head_metrics",
    "training_step",
    "sft_step",
    "answering",
    "cloze",
    "intervals",
    "growth",
    "startup",
)


def main(arguments: list[str]) -> int:
    name, *options = arguments or ["--help"]
    if name == "all":
        return max(run(benchmark, options) for benchmark in SPEED)
    if name in BENCHMARKS:
        return run(name, options)
    print(__doc__, *(f"  {benchmark:<18} {description}" for benchmark, description in BENCHMARKS.items()), sep="\n")
    return 0 if name in ("-h", "--help") else 2


def run(name: str, options: list[str]) -> int:
    print(f"\n## python -m benchmarks {' '.join([name, *options])}\n", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
