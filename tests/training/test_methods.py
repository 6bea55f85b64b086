"""Each method from curated set to a checkpoint that others load; and peft's options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from calibration_tuning import CalibratedModel
from calibration_tuning.checkpoint import read_record
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.config.settings import to_yaml
from calibration_tuning.config.training import LoraSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.identity import base_files
from calibration_tuning.lm.models import load_model
from calibration_tuning.runs.files import write_text
from training.__main__ import train
from training.methods import METHODS, with_adapter


def config_of(curated: Path, tmp_path: Path, *overrides: str) -> RunConfig:
    own = [f"output_dir={tmp_path}", "name=run", f"curated={curated.parent / 'runs/tiny/curation'}"]
    return load_run_config(curated, [*own, "training.batch_size=8", *overrides])


WRITTEN = {
    "lora_prompt": {"adapter_model.safetensors", "adapter_config.json"},
    "lora_probe": {"adapter_model.safetensors", "adapter_config.json", "probe.safetensors"},
    "probe": {"probe.safetensors"},
    "none": set(),
}


@pytest.fixture(scope="module")
def trained(curated: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunConfig]:
    """A finished training by each method."""

    @cache
    def by(method: str) -> RunConfig:
        folder = tmp_path_factory.mktemp(method)
        config = config_of(curated, folder, f"training.method={method}", "training.readout=query")
        train(config, False)
        return config

    return by


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_is_read_as_it_was_trained(trained: Callable[[str], RunConfig], method: str) -> None:
    config = trained(method)
    folder = config.checkpoint_dir
    weights = {path.name for path in folder.iterdir() if "adapter" in path.name or path.suffix == ".safetensors"}
    assert weights == WRITTEN[method]
    record = json.loads((folder / "calibration.json").read_text())
    assert record["method"] == method
    assert (record["multiline"], record["max_new_tokens"]) == (False, 3)
    assert record["selected"]["brier"] == min(scores["brier"] for scores in record["validation"][method != "none" :])
    assert record["splits_sha256"].keys() == {"train", "validation", "calibration"}

    # The validation scores of the record, computed again from the folder alone.
    from calibration_tuning.records import read_records

    model = CalibratedModel.from_pretrained(folder)
    rows = read_records(config.curation_dir / "validation.parquet")
    logits, _ = model._logits([r.text for r in rows], [r.token_ids for r in rows])
    calibrated = model._calibrated(logits)
    logit = np.log(calibrated) - np.log1p(-np.array(calibrated))
    raw = 1 / (1 + np.exp(-(logit - model.record.calibrator.bias) / model.record.calibrator.scale))
    brier = float(np.mean((raw - [r.correct for r in rows]) ** 2))
    assert brier == pytest.approx(record["selected"]["brier"], abs=1e-4)
    assert 0 <= model.answer("What is 1 plus 1?").confidence <= 1


@pytest.mark.slow
def test_a_probe_is_evaluated(curated: Path, tmp_path: Path) -> None:
    from evaluation.__main__ import evaluate

    config = config_of(curated, tmp_path, "training.method=lora_probe")
    train(config, False)
    evaluate(config, False)
    metrics = json.loads((config.evaluation_dir / "metrics.json").read_text())
    test = metrics["headline"]["test"]
    assert test["before"]["brier"]["value"] != test["after"]["brier"]["value"]
    assert metrics["method"] == "lora_probe"
    # No answer tokens are read after tuning, so nothing is said about them.
    assert metrics["query_tokens"] is None
    assert metrics["headline"]["answer_token_mass"] is None


@pytest.mark.slow
def test_the_untuned_readout_is_the_same_whatever_is_trained(curated: Path, tmp_path: Path) -> None:
    """It blends the untuned model's own verdict, not that of a probe which was trained."""
    untuned = []
    for method in METHODS:
        config = config_of(curated, tmp_path, f"training.method={method}", "training.readout=stacked", f"name={method}")
        train(config, False)
        untuned.append(json.loads((config.checkpoint_dir / "calibration.json").read_text())["readout"]["untuned"])
    for other in untuned[1:]:
        for blend, expected in zip(other, untuned[0], strict=True):
            assert blend["signals"] == expected["signals"]
            for name in ("lowest", "weights"):
                assert blend[name] == pytest.approx(expected[name], abs=1e-4), name


@pytest.mark.slow
def test_a_run_without_training(curated: Path, tmp_path: Path) -> None:
    """Its confidence is the untuned readout's, and it is not compared with itself."""
    from evaluation.__main__ import evaluate
    from evaluation.schema import read_metrics
    from evaluation.sentences import verdict_sentence
    from publishing.bundle import collect
    from publishing.card import card

    config = config_of(curated, tmp_path, "training.method=none", "training.readout=stacked")
    train(config, False)
    record = json.loads((config.checkpoint_dir / "calibration.json").read_text())
    assert record["selected"]["step"] == 0
    assert [scores["step"] for scores in record["validation"]] == [0]
    assert record["readout"]["stateless"] == record["readout"]["untuned"][1]
    evaluate(config, False)
    measured = b"".join(path.read_bytes() for path in config.findings_dir.rglob("*.jsonl"))
    assert b"before/" in measured
    assert b"after/" not in measured
    metrics = read_metrics(config.evaluation_dir / "metrics.json")
    assert metrics.headline.test.tuning["brier"].value == pytest.approx(0, abs=1e-6)
    assert metrics.primary is None or metrics.primary.other != "stacked/before"
    assert "without training" in verdict_sentence(metrics) or "No gain" in verdict_sentence(metrics)
    page = (config.evaluation_dir / "report.html").read_text()
    assert "No model was trained" in page
    assert "Tuning alone" not in page
    write_text(config.run_dir / "config.yaml", to_yaml(config))
    text = card(collect(config.run_dir), "org/tiny", None)
    assert "There is no adapter" in text
    assert "\n- lora\n" not in text


@pytest.mark.slow
def test_a_probe_leaves_the_model_alone_and_learns(curated: Path, tmp_path: Path) -> None:
    config = config_of(curated, tmp_path, "training.method=probe", "training.epochs=10")
    train(config, False)
    record = json.loads((config.checkpoint_dir / "calibration.json").read_text())
    assert record["selected"]["brier"] < record["validation"][0]["brier"]


@pytest.mark.parametrize(
    "options",
    [{"use_dora": True}, {"use_rslora": True}, {"init_lora_weights": "gaussian"}, {"init_lora_weights": "orthogonal"}],
    ids=str,
)
def test_peft_options_begin_as_the_base_model(curated: Path, tmp_path: Path, options: dict) -> None:
    config = config_of(curated, tmp_path)
    lora = LoraSettings(r=2, lora_dropout=0.0, **options)
    config = config.model_copy(update={"training": config.training.model_copy(update={"lora": lora})})
    base = load_model(config.model)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = base(input_ids=ids).logits.clone()
        tuned, _ = METHODS["lora_prompt"](config, base)
        torch.testing.assert_close(tuned.eval()(input_ids=ids).logits, before, atol=1e-4, rtol=0)
    (option,) = options
    assert getattr(tuned.peft_config["default"], option) == options[option]


@pytest.mark.slow
def test_dora_is_trained_and_saved(curated: Path, tmp_path: Path) -> None:
    config = config_of(curated, tmp_path, "training.lora.use_dora=true")
    train(config, False)
    keys = load_file(config.checkpoint_dir / "adapter_model.safetensors")
    assert any("magnitude" in key for key in keys)
    CalibratedModel.from_pretrained(config.checkpoint_dir)


def test_initialisations_that_move_the_base_model_are_refused(curated: Path, tmp_path: Path) -> None:
    for override in ("training.lora.init_lora_weights=pissa", "training.lora.target_modules=[q_proj, lm_head]"):
        with pytest.raises(UserError, match=override.split("=")[0]):
            config_of(curated, tmp_path, override)


@pytest.mark.slow
def test_seeds_differ_and_need_no_new_curation(curated: Path, tmp_path: Path) -> None:
    adapters = []
    for seed in (1, 2):
        config = config_of(curated, tmp_path, f"name=seed{seed}", f"training.seed={seed}")
        train(config, False)
        adapters.append(load_file(config.checkpoint_dir / "adapter_model.safetensors"))
    assert any(not torch.equal(adapters[0][key], adapters[1][key]) for key in adapters[0])


def test_four_bits_need_a_gpu(curated: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(UserError, match="load_in_4bit: needs a CUDA device"):
        train(config_of(curated, tmp_path, "model.load_in_4bit=true"), False)


@pytest.mark.slow
def test_a_checkpoint_knows_its_longest_answers_and_its_base_model(curated: Path, tmp_path: Path) -> None:
    """As of a set of programs among others: its answers have several lines, and more tokens than the run's."""
    from calibration_tuning.records import read_records, write_records

    folder = Path(shutil.copytree(curated.parent / "runs/tiny/curation", tmp_path / "curation"))
    (folder / "SHA256SUMS").unlink()
    rows = read_records(folder / "train.parquet")
    changes = [{"multiline": True, "max_new_tokens": 7}, {"max_new_tokens": 2}]
    rows[:2] = [row.model_copy(update=change) for row, change in zip(rows, changes, strict=False)]
    write_records(folder / "train.parquet", rows)
    config = config_of(curated, tmp_path, "training.readout=query", f"curated={folder}")
    train(config, False)
    record = read_record(config.checkpoint_dir)
    assert (record.multiline, record.max_new_tokens) == (True, 7)
    assert record.base_files == base_files(config.model) != {}
    model = CalibratedModel.from_pretrained(config.checkpoint_dir)
    assert 3 < model.answer("Why?").tokens <= 7, "the run's max_new_tokens is 3"


@pytest.mark.slow
def test_a_downloaded_record_cannot_let_code_run(
    trained: Callable[[str], RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from calibration_tuning import checkpoint

    folder = Path(shutil.copytree(trained("lora_prompt").checkpoint_dir, tmp_path / "checkpoint"))
    path = folder / "calibration.json"
    record = json.loads(path.read_text())
    record["model"]["trust_remote_code"] = True
    path.write_text(json.dumps(record))
    (folder / "SHA256SUMS").unlink()
    asked: list[bool] = []
    real = checkpoint.load_model

    def load(settings: Any, device: Any) -> Any:
        asked.append(settings.trust_remote_code)
        return real(settings, device)

    monkeypatch.setattr(checkpoint, "load_model", load)
    CalibratedModel.from_pretrained(folder)
    assert asked == [False]


def test_the_vocabulary_projection_is_not_reached_by_a_pattern_either(curated: Path, tmp_path: Path) -> None:
    config = config_of(curated, tmp_path, "training.lora.target_modules='.*(q_proj|lm_head)'")
    with pytest.raises(UserError, match="includes the vocabulary projection"):
        train(config, False)


def test_float16_is_refused(curated: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="float16 needs loss scaling"):
        config_of(curated, tmp_path, "model.dtype=float16")


@pytest.mark.slow
def test_curves_are_kept_without_wandb(trained: Callable[[str], RunConfig]) -> None:
    path = trained("lora_prompt").run_dir / "training.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows if "train/loss" in row] == [1, 2, 3]
    assert next(row["step"] for row in rows if "validation/brier" in row) == 0
    assert all(row["train/tokens_per_second"] > 0 for row in rows if "train/loss" in row)


def test_a_sliding_window_that_does_not_reach_is_refused() -> None:
    from transformers import MistralConfig

    from calibration_tuning.lm.caches import check_window

    config = MistralConfig(sliding_window=16)
    check_window(config, 16)
    with pytest.raises(UserError, match="some layers of this model see 16 tokens"):
        check_window(config, 17)
    check_window(MistralConfig(sliding_window=None), 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("modules", ["all-linear", ["q_proj", "v_proj"]])
@pytest.mark.parametrize("kind", ["gemma3", "llama"])
def test_every_trained_parameter_gets_a_gradient(curated: Path, kind: str, modules: Any) -> None:
    """Data parallelism ends with an error otherwise. The vision tower of Gemma 3 has the names of text's layers."""
    from transformers import AutoModelForCausalLM, Gemma3Config, LlamaConfig

    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4}
    text = {**sizes, "num_key_value_heads": 2, "vocab_size": 300}
    tokens = {"image_token_index": 260, "boi_token_index": 261, "eoi_token_index": 262, "mm_tokens_per_image": 4}
    shapes = {
        "gemma3": Gemma3Config(
            text_config={**text, "head_dim": 8},
            vision_config={**sizes, "image_size": 56, "patch_size": 14},
            **tokens,
        ),
        "llama": LlamaConfig(**text),
    }
    config = config_of(curated, curated.parent).model_copy()
    lora = LoraSettings(r=2, target_modules=modules, lora_dropout=0.0)
    training = config.training.model_copy(update={"lora": lora})
    model = with_adapter(
        config.model_copy(update={"training": training}), AutoModelForCausalLM.from_config(shapes[kind])
    )
    model(input_ids=torch.tensor([[5, 6, 7]])).logits.sum().backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) >= 2 * 2 * 2
    assert all(grad is not None for grad in trained.values())
