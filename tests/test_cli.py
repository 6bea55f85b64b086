"""The command line as people meet it: help, examples, settings, completion, pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from calibration_tuning.cli import _start, app
from calibration_tuning.config.run import load_run_config
from calibration_tuning.config.settings import to_yaml
from calibration_tuning.errors import RunError

HELP = {c.name or c.callback.__name__: c.help or c.callback.__doc__ for c in app.registered_commands}
COMMANDS = sorted(HELP)
FORWARDED = ("init", "compare", "score", "monitor", "choose", "preflight", "publish", "ask", "serve")
"""Their options are those of a module."""


ROOT = Path(__file__).parents[1]


def command(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | environment
    line = [sys.executable, "-m", "calibration_tuning.cli", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=variables, cwd=folder)


@pytest.mark.slow
def test_help_fits_a_screen_and_names_every_command() -> None:
    result = command("--help")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    for name in COMMANDS:
        assert sum(line.startswith(f"│ {name} ") for line in lines) == 1, name


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_parses(name: str) -> None:
    """In the help of the command and, where it stands for a module, of that; its options exist."""
    example = HELP[name].partition("Example: ")[2].strip()
    assert example.startswith(f"calibration-tuning {name} ")
    shown = command(name, "--help").stdout
    assert "Example:" in shown
    for word in example.split():
        if word.startswith("--"):
            assert word in shown, word
    if name in FORWARDED:
        assert f"Usage: calibration-tuning {name} " in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        *("data_curation.init", "evaluation.compare", "evaluation.score", "evaluation.monitor", "training.choose"),
        *("training.preflight.__main__", "publishing.publish", "calibration_tuning.ask"),
        "calibration_tuning.serving.__main__",
    ],
)
def test_every_option_has_a_help(module: str) -> None:
    app = typer.Typer()
    app.command()(import_module(module).main)
    options = [parameter for parameter in typer.main.get_command(app).params if parameter.param_type_name == "option"]
    assert [option.name for option in options if not getattr(option, "help", None)] == []


@pytest.mark.slow
def test_all_settings_are_printed_and_are_those_that_are_used() -> None:
    result = command("train", "configs/demo.yaml", "training.epochs=2", "--print-config")
    assert result.returncode == 0, result.stderr
    config = load_run_config("configs/demo.yaml", ["training.epochs=2"])
    assert yaml.safe_load(result.stdout) == yaml.safe_load(to_yaml(config))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "configs/demo.yaml", "training.epoch=2"], "training.epoch: unknown setting; did you mean 'epochs'?"),
        (["train", "configs/none.yaml"], "configs/none.yaml"),
        (["train", "configs/demo.yaml", "--launch", "none.yaml"], "--launch none.yaml: no such file"),
        (["train", "configs/demo.yaml", "--launch", "none.yaml"], "see launch/accelerate/"),
        (["run", "configs/demo.yaml", "--launch", "fsdp2"], "no such file; did you mean launch/accelerate/fsdp2.yaml?"),
        (["run", "configs"], "configs: is a folder; give a YAML file"),
        (["launch", "configs/demo.yaml", "--on", "moon"], "--on moon: unknown; use one of"),
    ],
)
def test_wrong_words_are_one_sentence_and_code_2(arguments: list[str], message: str) -> None:
    result = command(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_launch_hands_its_flags_to_every_stage() -> None:
    words = ["launch", "configs/llama2_7b.yaml", "--dry-run", "--debug", "--on"]
    for on, count in (("ddp_8gpu", 3), ("slurm", 1)):
        lines = CliRunner().invoke(app, [*words, on]).stdout.splitlines()
        assert [line.split()[-1] for line in lines] == ["--debug"] * count


def test_words_are_handed_on_as_they_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[list[str]] = []

    def run_child(words: list[str]) -> tuple[int, bool]:
        handed.append(words[3:])
        return 0, False

    monkeypatch.setattr("calibration_tuning.cli.run_child", run_child)
    for words in (["runs/demo", "--claims", "--", "-3 + 5?"], ["--help"], []):
        assert CliRunner().invoke(app, ["ask", *words]).exit_code == 0
        assert handed.pop() == words


@pytest.mark.slow
def test_nothing_is_coloured_in_a_pipe_or_without_colour() -> None:
    assert "\x1b[" not in command("--help").stdout
    assert "\x1b[3" not in command("--help", NO_COLOR="1", FORCE_COLOR="1").stdout


@pytest.mark.slow
def test_shells_complete_it() -> None:
    typed = {"COMP_WORDS": "calibration-tuning pref", "COMP_CWORD": "1"}
    shell = os.environ | typed | {"_CALIBRATION_TUNING_COMPLETE": "complete_bash"}
    line = [str(Path(sys.executable).parent / "calibration-tuning")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=shell)
    assert done.stdout.split() == ["preflight"]


@pytest.mark.slow
def test_commands_run_in_any_folder(tmp_path: Path) -> None:
    """A folder of the user's with a stage's name is not imported, and a file of theirs goes before a shipped one."""
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "answers.csv").write_text("confidence,correct\n0.9,1\n0.2,0\n")
    scored = command("score", "answers.csv", "--bootstrap", "100", folder=tmp_path)
    assert (scored.returncode, scored.stderr) == (0, "")
    assert "answers.csv: 2 answers" in scored.stdout
    missing = command("compare", "runs/a", "runs/b", folder=tmp_path)
    assert missing.returncode == 2
    assert "run `calibration-tuning evaluate CONFIG` for that run first" in missing.stderr
    for config in ("configs/demo.yaml", "configs/llama2_7b.yaml"):  # the second one names a mixture file
        shown = command("train", config, "--print-config", folder=tmp_path)
        assert shown.stdout == command("train", config, "--print-config").stdout
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/demo.yaml").write_text("name: mine\nmodel: {path: m}\nquestions: [{set: countries}]\n")
    assert command("train", "configs/demo.yaml", "--print-config", folder=tmp_path).stdout.startswith("name: mine\n")


@pytest.mark.slow
def test_what_is_printed_can_be_typed_in_any_folder(tmp_path: Path) -> None:
    dry = ("launch", "configs/llama2_7b.yaml", "--dry-run", "--on")
    lines = command(*dry, "ddp_8gpu", folder=tmp_path).stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith(f"PYTHONSAFEPATH=1 PYTHONPATH={ROOT}")
        assert f"--config_file {ROOT}/launch/accelerate/ddp_8gpu.yaml" in line
    module = (
        lines[2].replace("calibration_tuning.runs.accelerated", "evaluation.score", 1).partition(" --config_file")[0]
    )
    module = module.replace(" python ", f" {sys.executable} ")
    shown = subprocess.run(["sh", "-c", f"{module} --help"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "Score a file" in shown.stdout
    refused = command(*dry, "slurm", folder=tmp_path)
    assert refused.returncode == 2
    assert "--on slurm: its job files need the project's files" in refused.stderr


def test_the_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert command("--version").stdout == f"calibration-tuning {version('calibration-tuning')}\n"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGTERM, "was ended by SIGTERM; run"),
        (signal.SIGKILL, "by SIGKILL, as the system does if memory runs out"),
    ],
)
def test_a_stage_that_a_signal_ended_is_said_to_be(number: int, said: str) -> None:
    code = f"import os; os.kill(os.getpid(), {int(number)})"
    with pytest.raises(RunError, match=said):
        _start([sys.executable, "-c", code])
