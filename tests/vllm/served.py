"""`vllm serve` beside `CalibratedModel` and the model in this process: python -m tests.vllm.served KIND, which is text,
chat or thinking-off.

The command and the request for a confidence are the two blocks of docs/using.md, as they stand there.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from scipy.special import expit

from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.config.engines import OpenAIEngine
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.grading.traces import trace_of, without_trace
from calibration_tuning.lm.models import adapter_off
from calibration_tuning.lm.pypi_source import resolve_model_path
from data_curation.engines import build_engine
from tests.vllm.asking import MODEL, RUNS, Style, cloze, job, run_config, sampled, thinking_model, written
from tests.vllm.comparison import CONFIDENCES_WITHIN, Checks, answers
from tests.vllm.environment import FOLDER, ROOT
from tests.vllm.in_process import local_engine

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]
ON_A_CPU = ["--no-enable-chunked-prefill", "--enforce-eager"]
"""The first for sampled answers, as the engine `vllm` has it (data_curation/engines/vllm.py says why); the second for a
quick start: compiling takes longer than all the answers."""
STARTS_WITHIN = 1800
"""Seconds."""
JUDGED = 40
"""Answers of the test split."""


def recipe(style: Style, model: str) -> tuple[list[str], str]:
    """The command that serves, and the Python that asks, of docs/using.md, with this run's paths in them."""
    section = (ROOT / "docs/using.md").read_text(encoding="utf-8").partition("## With vLLM")[2]
    blocks = [re.search(rf"```{language}\n(.*?)```", section, re.DOTALL) for language in ("bash", "python")]
    command, asking = (
        block.group(1).replace("runs/NAME", str(RUNS / style)).replace("BASE_MODEL", model) for block in blocks
    )
    command = command.replace("bfloat16", MODEL.dtype)
    command = command.replace(".venv-vllm/bin/vllm", str(FOLDER / "bin/vllm"))
    definitions, _, last_line = asking.rpartition("\n\nconfidence(")
    assert definitions, f"docs/using.md ends its block with {last_line!r}"
    return shlex.split(command), definitions.replace(":8000", f":{PORT}")


@contextmanager
def serving(command: list[str], log: str) -> Iterator[None]:
    with (RUNS / log).open("w") as file:
        server = subprocess.Popen([*command, *ON_A_CPU, "--port", str(PORT)], stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while not _answers():
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"vllm serve did not start; see {RUNS / log}")
            time.sleep(2)
        yield
    finally:
        server.terminate()
        server.wait(timeout=60)


def _answers() -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def check_confidences(checks: Checks, style: Style, asking: str) -> None:
    """Served base model with adapter against `CalibratedModel`, for the answers of the test split."""
    rows = CuratedSet.read(run_config(style).curation_dir).split("test")[:JUDGED]
    questions, texts = [row.text for row in rows], [row.answer or "none" for row in rows]
    model = CalibratedModel.from_pretrained(RUNS / style / "checkpoint", device="cpu")
    readout, answer_ids = model.record.readout, [model.prompt_format.answer_ids(text) for text in texts]
    assert readout is not None, "the recipe is that of a stacked readout"
    read = model._read(questions, answer_ids)
    expected = readout.without_states(read.token_logprobs, read.query)
    with adapter_off(model.model):
        untuned = model._read(questions, answer_ids).query
    names: dict[str, Any] = {}
    exec(asking, names)  # the page's own lines
    confidence: Callable[[str, str], float] = names["confidence"]
    query: Callable[[str, list[int]], float] = names["query"]
    served = np.array([confidence(*pair) for pair in zip(questions, texts, strict=True)])
    difference = np.abs(served - expected).max()
    checks.note(
        "confidences",
        difference < CONFIDENCES_WITHIN and np.ptp(expected) > 0.01,
        f"{len(served)} within {difference:.1e} of CalibratedModel's, which lie in "
        f"[{expected.min():.3f}, {expected.max():.3f}]",
    )
    # A blend may give the query no weight, so the adapter's part is compared by itself.
    asked = expit([query(*pair) for pair in zip(questions, answer_ids, strict=True)])
    difference, moved = np.abs(asked - expit(read.query)).max(), np.abs(expit(untuned) - expit(read.query)).max()
    checks.note(
        "verdicts",
        difference < CONFIDENCES_WITHIN and moved > 100 * CONFIDENCES_WITHIN,
        f"{len(asked)} probabilities within {difference:.1e} of CalibratedModel's; the adapter moves them by up to "
        f"{moved:.3f}",
    )


def check_endpoint(checks: Checks, settings: ModelSettings, model: str) -> None:
    """The engine `openai` against the model in this process."""
    here = job(settings)
    local = local_engine(here)
    endpoint = OpenAIEngine(base_url=f"http://127.0.0.1:{PORT}/v1", served_model=model, concurrency=8, timeout=600)
    engine = build_engine(endpoint, here)
    asked = written(60, multiline=20)
    expected, actual = answers(local, asked), answers(engine, asked)
    # A model that is not let think may still write a tag of reasoning.
    answered = {key: answer for key, answer in expected.items() if trace_of(answer.text) is None}
    checks.same_answers("endpoint, written", actual, answered, by="text")
    if reasoned := {key: answer for key, answer in expected.items() if not without_trace(answer.text).strip()}:
        checks.reasoned("endpoint, reasoned instead", actual, reasoned)
    checks.sampled("endpoint, sampled", engine, sampled(asked[:30], 2), expected)
    choosing = cloze(20)
    # Singly: with --enable-lora on a CPU, vLLM 0.32 dies of two prompts that are scored at once (add_lora_logits has an
    # index for each request, not for each token).
    singly = build_engine(endpoint.model_copy(update={"concurrency": 1}), here)
    checks.same_choices("endpoint, cloze", answers(singly, choosing), answers(local, choosing))


def main(kind: str) -> int:
    checks = Checks(f"{kind}, vllm serve")
    if kind == "thinking-off":
        settings = thinking_model("off")
        command = [str(FOLDER / "bin/vllm"), "serve", settings.path, "--dtype", settings.dtype]
        with serving(command, f"served-{kind}.log"):
            check_endpoint(checks, settings, settings.path)
        return len(checks.failed)
    settings = MODEL.model_copy(update={"prompt_format": kind})
    model = str(resolve_model_path(settings.path))
    command, asking = recipe(kind, model)
    with serving(command, f"served-{kind}.log"):
        check_confidences(checks, kind, asking)
        check_endpoint(checks, settings, model)
    return len(checks.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
