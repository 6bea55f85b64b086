import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.run import load_run_config
from calibration_tuning.config.settings import to_yaml
from calibration_tuning.errors import UserError

MINIMAL = {"name": "x", "model": {"path": "m"}, "questions": [{"source": "q", "path": "embedded:arithmetic"}]}


def write(tmp_path: Path, values: object) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def test_every_shipped_run_file_is_valid() -> None:
    files = [path for path in Path("configs").glob("*.yaml") if path.stem != "sweep"]  # which is W&B's
    names = ["demo", "llama2_7b", "methods", "mistral_7b", "quick", "qwen2_5_7b", "six_sources"]
    assert sorted(p.stem for p in files) == names
    for path in files:
        assert load_run_config(path, []).name


def test_overrides_are_yaml_values(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    config = load_run_config(
        path, ["training.learning_rate=1e-4", "questions.0.count=7", "training.lora.target_modules=[q_proj]"]
    )
    assert config.training.learning_rate == 1e-4
    assert config.questions[0].count == 7
    assert config.training.lora.target_modules == ["q_proj"]


def test_resolved_settings_survive_a_round_trip(tmp_path: Path) -> None:
    config = load_run_config(write(tmp_path, MINIMAL), [])
    assert load_run_config(write(tmp_path, to_yaml(config)), []) == config


def test_all_errors_at_once_with_field_value_and_nearest_name(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL | {"trainin": {}})
    overrides = [
        "training.learning_rte=1",
        "training.epochs=-1",
        "training.objective.kl=other",
        "model.path=null",
        "questions.0.gradr=exact",
        "training.lora.width=4",
    ]
    with pytest.raises(UserError) as raised:
        load_run_config(path, overrides)
    message = str(raised.value)
    assert "7 wrong setting(s)" in message
    assert "trainin: unknown setting; did you mean 'training'?" in message
    assert "training.learning_rte: unknown setting; did you mean 'learning_rate'?" in message
    assert "training.epochs: Input should be greater than 0 (got -1)" in message
    assert "training.objective.kl: Input should be 'forward_kl', 'reverse_kl' or 'jsd' (got 'other')" in message
    assert "model.path: Input should be a valid string (got None)" in message
    assert "questions.0.gradr: unknown setting; did you mean 'grader'?" in message
    assert "training.lora.width: unknown setting; known: r, lora_alpha" in message


@pytest.mark.parametrize(
    ("path", "source"),
    [("data/ours.v2.jsonl.gz", "ours"), ("allenai/sciq", "sciq"), ("embedded:cities", "cities"), ("a/b/", "b")],
)
def test_a_set_is_named_after_its_path(tmp_path: Path, path: str, source: str) -> None:
    config = load_run_config(write(tmp_path, MINIMAL | {"questions": [{"path": path}]}), [])
    assert config.questions[0].source == source


def test_an_engine_is_chosen_by_its_kind(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    assert load_run_config(path, ["curation.engine.batch_size=3"]).curation.engine.kind == "transformers"
    served = load_run_config(path, ["curation.engine={kind: openai, base_url: 'http://localhost:8000/v1'}"])
    assert served.curation.engine.kind == "openai"
    with pytest.raises(UserError) as raised:
        load_run_config(path, ["curation.engine={kind: openai, base_url: 'http://u:secret@h/v1', concurency: 4}"])
    message = str(raised.value)
    assert "curation.engine.openai.concurency: unknown setting; did you mean 'concurrency'?" in message
    assert "base_url: holds a password or a query" in message
    assert "secret" not in message
    with pytest.raises(UserError, match=r"curation\.engine: .*'tgi'"):
        load_run_config(path, ["curation.engine.kind=tgi"])


@pytest.mark.parametrize("engine", ["vllm", "null", "[]", "3"])
def test_an_engine_that_is_no_section_is_one_sentence(tmp_path: Path, engine: str) -> None:
    path = write(tmp_path, MINIMAL)
    with pytest.raises(UserError, match=r"  curation\.engine: must be a section such as \{kind: vllm\} \(got "):
        load_run_config(path, [f"curation.engine={engine}"])
    with pytest.raises(UserError, match=r"  curation\.judge\.engine: must be a section such as \{kind: vllm\} \(got "):
        load_run_config(path, [f"curation.judge={{model: {{path: m}}, engine: {engine}}}"])


def test_the_home_folder_is_found_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path, MINIMAL | {"questions": [{"path": "~/ours.jsonl"}]})
    overrides = ["output_dir=~/runs", "curated=~/set", "curation.engine={kind: recorded, path: ~/a.jsonl}"]
    config = load_run_config(path, [*overrides, "model.path=~/model"])
    assert (config.run_dir, config.curated) == (tmp_path / "runs/x", tmp_path / "set")
    assert config.curation.engine.path == tmp_path / "a.jsonl"
    assert (config.questions[0].path, config.questions[0].source) == (f"{tmp_path}/ours.jsonl", "ours")
    assert config.model.path == f"{tmp_path}/model"
    assert load_run_config(path, ["questions.0.path=org/a~b/"]).questions[0].path == "org/a~b/"
    (tmp_path / "mix.yaml").write_text("- {set: ~/own.yaml}\n")
    (tmp_path / "own.yaml").write_text("path: ~/theirs.csv\n")
    for overrides in (["questions=~/mix.yaml"], ["questions=~/mix.yaml", "questions.0.count=7"]):
        assert load_run_config("~/run.yaml", overrides).questions[0].path == f"{tmp_path}/theirs.csv"
    with pytest.raises(UserError, match="output_dir: begins with ~ and names no user's home folder"):
        load_run_config(path, ["output_dir=~nobody-of-this-name/runs"])


def test_what_only_changes_the_speed_is_no_input_of_curation(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    inputs = [load_run_config(path, overrides).curation_inputs() for overrides in (
        [], ["curation.engine.batch_size=3"], ["curation.samples=1"])]  # fmt: skip
    assert inputs[0] == inputs[1] != inputs[2]


def test_a_revision_is_no_input(tmp_path: Path) -> None:
    """The commit that it leads to is: see `model_identity`. So a finished run may be pinned afterwards."""
    path = write(tmp_path, MINIMAL)
    plain, pinned = (load_run_config(path, overrides) for overrides in ([], ["model.revision=abc123"]))
    assert plain.curation_inputs() == pinned.curation_inputs()
    assert plain.training_inputs() == pinned.training_inputs()


def test_a_mixture_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "mixture.yaml").write_text("- {set: countries, weight: 2}\n- {set: arithmetic, role: evaluation}\n")
    config = load_run_config(write(tmp_path, MINIMAL | {"questions": str(tmp_path / "mixture.yaml")}), [])
    assert [(q.source, q.weight, q.role) for q in config.questions] == [
        ("countries", 2, "train"),
        ("arithmetic", 1, "evaluation"),
    ]
    with pytest.raises(UserError, match=r"no mixture file 'none\.yaml'"):
        load_run_config(write(tmp_path, MINIMAL | {"questions": "none.yaml"}), [])


def test_an_entry_of_a_mixture_in_a_file_can_be_changed(tmp_path: Path) -> None:
    mixture = "configs/mixtures/short_answers.yaml"
    path = write(tmp_path, MINIMAL | {"questions": mixture})
    config = load_run_config(path, ["questions.4.count=100", "questions.0.weight=9", "name=small"])
    shipped = load_run_config(path, [])
    assert (config.questions[4].count, shipped.questions[4].count) == (100, 2000)
    assert (config.questions[0].weight, shipped.questions[0].weight) == (9, 4)
    assert config.questions[5] == shipped.questions[5]
    with pytest.raises(UserError, match="'7' is not a position in a list of 7"):
        load_run_config(path, ["questions.7.count=100"])
    with pytest.raises(UserError, match="lies inside a single value"):
        load_run_config(write(tmp_path, MINIMAL | {"questions": "none.yaml"}), ["questions.0.count=100"])


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"grader": "judge"}, "curation.judge: missing"),
        ({"grader": "code", "program": "<answer>"}, "curation.execute_code: false"),
    ],
)
def test_graders_that_need_more(tmp_path: Path, question: dict, message: str) -> None:
    questions = [{"source": "q", "path": "embedded:arithmetic"} | question]
    with pytest.raises(UserError, match=message):
        load_run_config(write(tmp_path, MINIMAL | {"questions": questions}), [])


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("a: [1", [], "not valid YAML"),
        ("", [], r"run\.yaml: the file is empty"),
        ("# name: x\n", [], r"run\.yaml: the file is empty"),
        ("- 1", [], "expected sections"),
        ("name: x", [], "model: missing"),
        (yaml.safe_dump(MINIMAL), ["epochs"], "expected key.path=value"),
        (yaml.safe_dump(MINIMAL), ["questions.3.count=1"], "not a position in a list of 1"),
        (yaml.safe_dump(MINIMAL), ["name.first=1"], "single value, not a section"),
        (yaml.safe_dump(MINIMAL), ["name=../elsewhere"], "name: must be letters, digits, . _ - only"),
        (yaml.safe_dump(MINIMAL), ["name=my/run"], "name: must be letters, digits, . _ - only"),
        (yaml.safe_dump(MINIMAL), ["name=.run"], "name: must be .* a letter or digit first"),
        (yaml.safe_dump(MINIMAL | {"questions": MINIMAL["questions"] * 2}), [], "two sets are named q"),
        (yaml.safe_dump(MINIMAL), ["model.dtype=float16"], "float16 needs loss scaling"),
        (
            yaml.safe_dump(MINIMAL),
            ["model.load_in_4bit=true", "curation.engine={kind: vllm}"],
            r"curation\.engine\.kind: vllm does not load models in 4 bits; use transformers, or load_in_4bit: false",
        ),
        (
            yaml.safe_dump(MINIMAL),
            ["curation.judge={model: {path: m, load_in_4bit: true}, engine: {kind: vllm}}"],
            r"curation\.judge\.engine\.kind: vllm does not load models in 4 bits",
        ),
        (yaml.safe_dump(MINIMAL), ["training.objective.targets=soft"], "soft needs sampled answers"),
        (yaml.safe_dump(MINIMAL), ["seed=4294967296"], "seed: Input should be less than 4294967296"),
        (
            yaml.safe_dump(MINIMAL),
            ["model=org/m"],
            r"  model: is a section; .* such as model\.path=\.\.\. \(got 'org/m'\)",
        ),
        (yaml.safe_dump(MINIMAL), ["tracking=none"], r"tracking: is a section; .* such as tracking\.to=\.\.\."),
        (yaml.safe_dump(MINIMAL), ["curation.sizes=500"], r"such as curation\.sizes\.train=\.\.\. \(got 500\)"),
        (yaml.safe_dump(MINIMAL), ["evaluation.error_rates=0.3"], r"must be a list, such as \[0\.3\] \(got 0\.3\)"),
        (yaml.safe_dump(MINIMAL), ["evaluation.estimators=query"], r"must be a list, such as \['query'\]"),
        (yaml.safe_dump(MINIMAL), ["evaluation.error_rates=null"], r"must be a list \(got None\)"),
        (
            yaml.safe_dump(MINIMAL),
            ["questions.0.question={{ ticket }}"],
            r"not a YAML value; if it is text, quote it: \"questions\.0\.question='\{\{ ticket \}\}'\"",
        ),
        (yaml.safe_dump(MINIMAL), ["training.epochs=.inf"], "training.epochs: Input should be a finite number"),
        (yaml.safe_dump(MINIMAL), ["curation.temperature=.nan"], "curation.temperature: Input should be"),
    ],
)
def test_bad_input_is_one_clear_sentence(tmp_path: Path, text: str, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_run_config(write(tmp_path, text), overrides)


def test_a_quoted_override_is_the_text_itself(tmp_path: Path) -> None:
    for text in ("{{ ticket }}", "{{ row['the ticket'] }}"):
        with pytest.raises(UserError) as raised:
            load_run_config(write(tmp_path, MINIMAL), [f"questions.0.question={text}"])
        advised = str(raised.value).partition("quote it: ")[2].strip('"')
        assert load_run_config(write(tmp_path, MINIMAL), [advised]).questions[0].question == text


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder; give a YAML file"):
        load_run_config(tmp_path, [])


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("training.lr=1e-4", "training.lr: unknown setting; did you mean 'learning_rate'?"),
        ("training.bs=8", "training.bs: unknown setting; did you mean 'batch_size'?"),
        ("training.lora.rank=8", "training.lora.rank: unknown setting; did you mean 'r'?"),
        ("training.lora.alpha=8", "training.lora.alpha: unknown setting; did you mean 'lora_alpha'?"),
        ("training.lora.dropout=0", "training.lora.dropout: unknown setting; did you mean 'lora_dropout'?"),
        ("model.dtype=bf16", "(got 'bf16'); did you mean 'bfloat16'?"),
        ("questions.0.grader=fuzy", "(got 'fuzy'); did you mean 'fuzzy'?"),
        ("training.kl=1", "training.kl: unknown setting; known: "),  # it is in a section inside
        ("training.method=sgd", "'none' (got 'sgd')\n"),
        ("model.dtype=3", "'float16' (got 3)\n"),
    ],
)
def test_wrong_names_get_the_nearest_one_as_a_hint(tmp_path: Path, override: str, hint: str) -> None:
    with pytest.raises(UserError) as raised:
        load_run_config(write(tmp_path, MINIMAL), [override])
    assert hint in f"{raised.value}\n"


@pytest.mark.slow
def test_settings_do_not_wait_for_torch() -> None:
    code = (
        "import sys, calibration_tuning.cli, calibration_tuning.config.run\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'wandb') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_registries_and_settings_name_the_same_things() -> None:
    from typing import get_args

    from calibration_tuning.config.engines import OpenAIEngine, RecordedEngine, TransformersEngine, VllmEngine
    from calibration_tuning.config.questions import QuestionSetSettings
    from calibration_tuning.config.tracking import TrackingSettings
    from calibration_tuning.config.training import ObjectiveSettings, TrainingSettings
    from calibration_tuning.grading.graders import GRADERS
    from calibration_tuning.metrics.calibrators import CALIBRATORS
    from calibration_tuning.tracking import TRACKERS
    from data_curation.engines import ENGINES
    from training.methods import METHODS
    from training.objective import DIVERGENCES, QUERY_LOSSES

    kinds = (TransformersEngine, VllmEngine, OpenAIEngine, RecordedEngine)
    pairs = [
        (QuestionSetSettings, "grader", {*GRADERS, "judge"}),  # the judge is a model, not a function
        *((schema, "kind", [name]) for name, schema in zip(ENGINES, kinds, strict=True)),
        (ObjectiveSettings, "query_loss", QUERY_LOSSES),
        (ObjectiveSettings, "kl", DIVERGENCES),
        (TrainingSettings, "calibrator", CALIBRATORS),
        (TrainingSettings, "method", METHODS),
        (TrackingSettings, "to", TRACKERS),
    ]
    for schema, field, registry in pairs:
        assert set(get_args(schema.model_fields[field].annotation)) == set(registry), field


def test_a_system_prompt_is_stored_and_none_changes_no_fingerprint() -> None:
    """Runs made before there was the setting keep their fingerprints; those with one differ by it."""
    plain, brief = ModelSettings(path="m"), ModelSettings(path="m", system_prompt=" Be brief. \n")
    assert "system_prompt" not in plain.model_dump()
    assert brief.model_dump()["system_prompt"] == "Be brief."
    for settings in (plain, brief):
        assert ModelSettings.model_validate(settings.model_dump(mode="json")) == settings
    with pytest.raises(ValidationError, match="is empty; leave it out"):
        ModelSettings(path="m", system_prompt=" \n")


@pytest.mark.parametrize(("written", "thinking"), [("on", "on"), ("off", "off"), ("true", "on"), ("'off'", "off")])
def test_on_and_off_are_words_though_yaml_reads_them_as_truth_values(
    tiny_config_path: Path, written: str, thinking: str
) -> None:
    assert load_run_config(tiny_config_path, [f"model.thinking={written}"]).model.thinking == thinking
