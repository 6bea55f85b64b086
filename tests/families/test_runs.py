"""A tiny model of every architecture is curated for, trained, stopped, resumed, and loaded elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file

from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.config.run import RunConfig, load_run_config
from data_curation.__main__ import curate
from tests.families.architectures import SETTINGS, random_model
from tests.families.conftest import Matrix
from tests.families.templates import TEMPLATES
from tests.families.tokenizers import tokenizer_of
from training.__main__ import train
from training.preflight.checks import findings
from training.preflight.machines import GPUS
from training.preflight.paper import Paper
from training.stopping import Stopped

pytestmark = pytest.mark.slow
SHORT = [
    "tracking.to=none",
    "model.prompt_format=chat",
    "training.checkpoints=3",
    "training.evaluations=1",
    "curation.sizes.train=16",
]


class AskedAfter:
    """Asks a training to stop after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def is_set(self) -> bool:
        self.steps -= 1
        return self.steps <= 0


@contextmanager
def stop_after_two() -> Iterator[AskedAfter]:
    yield AskedAfter(2)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run(
    name: str,
    tmp_path: Path,
    write_tiny_config: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
    matrix: Matrix,
) -> None:
    template = TEMPLATES["SmolLM2, Qwen2.5"]
    tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
    tokenizer.save_pretrained(tmp_path / "model")
    random_model(name, len(tokenizer)).save_pretrained(tmp_path / "model")
    path = write_tiny_config(tmp_path)

    # PEFT puts no dropout before adapters of experts that are one tensor.
    dropout = 0.0 if "Mix" in name or "MoE" in name or name == "Qwen3-Next" else 0.2

    def config(run: str, *more: str) -> RunConfig:
        return load_run_config(
            path,
            [f"model.path={tmp_path / 'model'}", f"name={run}", *SHORT, f"training.lora.lora_dropout={dropout}", *more],
        )

    curate(config("stopped"), False)
    results = dict(findings(Paper(config("stopped"), 1, GPUS["a100-80gb"])))
    assert [detail for check, detail in results.items() if detail.status == "fails" and check != "disk"] == []
    with monkeypatch.context() as patch:
        patch.setattr("training.stopping.stop_requests", stop_after_two)
        with pytest.raises(Stopped):
            train(config("stopped"), False)
    train(config("stopped"), False)
    whole = config("whole", f"curated={config('stopped').curation_dir}")
    train(whole, False)
    files = [c.checkpoint_dir / "adapter_model.safetensors" for c in (config("stopped"), whole)]
    assert any(tensor.abs().sum() > 0 for key, tensor in load_file(files[1]).items() if "lora_B" in key)
    matrix.add(name, "trains", "yes")
    assert files[0].read_bytes() == files[1].read_bytes()
    matrix.add(name, "resumes", "the same bytes")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(whole.checkpoint_dir, elsewhere)
    model = CalibratedModel.from_pretrained(str(elsewhere))
    answers = model.answer_batch(["What is 1 plus 2?", "Which planet is the largest one?"])
    assert all(0 < answer.confidence < 1 for answer in answers)
    texts = ["3", "about 7"]
    assert all(0 < model.confidence("What is 1 plus 2?", text) < 1 for text in texts)
    # A random model may be right in nothing; then nothing it says about itself is worth a weight. What is read differs.
    query = model._query(["What is 1 plus 2?"] * 2, [model.prompt_format.answer_ids(text) for text in texts])
    assert query[0] != query[1]
    matrix.add(name, "loads elsewhere", "yes")
