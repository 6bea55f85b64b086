"""What is started where: dry runs, Slurm's job files against commands that stand in for Slurm, the cloud's task."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from calibration_tuning.errors import UserError
from calibration_tuning.runs.launching import launch_commands

CONFIG = Path("configs/llama2_7b.yaml")


def test_every_stage_through_the_launcher() -> None:
    commands = launch_commands("fsdp2", CONFIG, ["seed=1"])
    assert [command[-3:] for command in commands] == [
        [module, str(CONFIG), "seed=1"] for module in ("data_curation", "training", "evaluation")
    ]
    for command in commands:
        assert command[:5] == [
            *("python", "-m", "calibration_tuning.runs.accelerated", "--config_file"),
            "launch/accelerate/fsdp2.yaml",
        ]


@pytest.mark.parametrize(
    ("on", "overrides", "message"),
    [
        ("abacus", [], "--on abacus: unknown; use one of ddp_8gpu"),
        ("multi_node", [], "use slurm"),
        ("skypilot", ["seed=1"], "from the config file alone"),
        ("skypilot", [], "set BUCKET in your shell"),
    ],
)
def test_set_ups_that_are_none(on: str, overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUCKET", raising=False)
    with pytest.raises(UserError, match=message):
        launch_commands(on, CONFIG, overrides)


def test_fewer_gpus_and_anew() -> None:
    for command in launch_commands("ddp_8gpu", CONFIG, [], ["--force"], gpus=4):
        assert command[5:8] == ["--num_processes", "4", "-m"]
        assert command[-1] == "--force"
    with pytest.raises(UserError, match="single_gpu is one process"):
        launch_commands("single_gpu", CONFIG, [], gpus=4)
    with pytest.raises(UserError, match="unknown; use one of"):
        launch_commands("ddp_8gpus", CONFIG, [], gpus=4)
    for on in ("slurm", "skypilot"):
        with pytest.raises(UserError, match=f"--gpus: --on {on} sets its number of GPUs"):
            launch_commands(on, CONFIG, [], gpus=4)
        with pytest.raises(UserError, match="--force: not allowed with"):
            launch_commands(on, CONFIG, [], ["--force"])


def test_the_cloud_is_given_bucket_and_secrets_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BUCKET", "HF_TOKEN"):
        monkeypatch.setenv(name, "hush")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    (command,) = launch_commands("skypilot", CONFIG, [])
    assert command[:4] == ["sky", "jobs", "launch", "launch/skypilot.yaml"]
    assert "hush" not in " ".join(command)
    given = [command[place + 1].partition("=")[0] for place, word in enumerate(command) if word.startswith("--")]
    assert given == ["CONFIG", "BUCKET", "HF_TOKEN"]
    assert {"CONFIG", "BUCKET"} == yaml.safe_load(Path("launch/skypilot.yaml").read_text())["envs"].keys()


@pytest.mark.slow
def test_a_dry_run_prints_what_would_be_started() -> None:
    command = [sys.executable, "-m", "calibration_tuning.cli", "launch", str(CONFIG), "--dry-run", "--on"]
    printed = subprocess.run([*command, "ddp_8gpu"], capture_output=True, text=True, check=True).stdout
    assert [shlex.split(line) for line in printed.splitlines()] == launch_commands("ddp_8gpu", CONFIG, [])
    nowhere = {name: value for name, value in os.environ.items() if name != "BUCKET"}
    cloud = subprocess.run([*command, "skypilot"], capture_output=True, text=True, check=True, env=nowhere).stdout
    assert cloud.startswith("sky jobs launch launch/skypilot.yaml")
    wrong = subprocess.run([*command, "slurm", "seeds=1"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "seeds: unknown setting" in wrong.stderr


class Slurm:
    """Stand-ins for Slurm's commands and for accelerate, which write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.step = folder / "bin", folder / "log.jsonl", folder / "step"
        self.folder.mkdir()
        note = f"import json, sys; open({str(self.log)!r}, 'a').write(json.dumps(sys.argv) + '\\n')\n"
        self.command("sbatch", note + f"print(sum('sbatch' in l for l in open({str(self.log)!r})))")
        self.command("scontrol", note + "print('node7\\nnode8') if sys.argv[1] == 'show' else None")
        # Runs what follows its own options as the second of two nodes, in a process group that stands for the step.
        self.command(
            "srun",
            "import os, subprocess, sys\n"
            "own = sys.argv[next(i for i, a in enumerate(sys.argv[1:], 1) if not a.startswith('-')):]\n"
            "step = {'SLURM_NODEID': '1', 'SLURM_STEP_ID': '0'}\n"
            "child = subprocess.Popen(own, env=os.environ | step, start_new_session=True)\n"
            f"open({str(self.step)!r}, 'w').write(str(child.pid))\n"
            "code = child.wait()\n"
            "sys.exit(code if code >= 0 else 128 - code)",
        )
        self.command(
            "scancel",
            note + "import os, signal\n"
            "number = signal.SIGKILL if '--signal=KILL' in sys.argv else signal.SIGTERM\n"
            f"os.killpg(int(open({str(self.step)!r}).read()), number)",
        )

    def command(self, name: str, code: str) -> None:
        path = self.folder / name
        path.write_text(f"#!{sys.executable}\n{code}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def accelerate(self, code: str, before: str = "") -> None:
        """`before` is what it does before it is seen to have been called."""
        note = f"open({str(self.log)!r}, 'a').write(json.dumps(sys.argv) + '\\n')"
        self.command("accelerate", f"import json, sys\n{before}\n{note}\n{code}")

    def start(self, file: str, *arguments: str) -> subprocess.Popen[str]:
        job = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "41", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8"}
        return subprocess.Popen(
            ["bash", f"launch/slurm/{file}.sbatch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | job | {"PATH": f"{self.folder}:{os.environ['PATH']}"},
        )

    def calls(self, name: str) -> list[list[str]]:
        rows = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.is_file() else []
        return [row[1:] for row in rows if Path(row[0]).name == name]

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + 20
        while not (self.calls(name) and self.step.is_file() and self.step.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


@pytest.mark.parametrize("cpus", ["32", None])
def test_ranks_have_all_cores_of_the_job(slurm: Slurm, cpus: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """srun goes by a variable of its own since Slurm 22.05."""
    monkeypatch.delenv("SRUN_CPUS_PER_TASK", raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    if cpus is not None:
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", cpus)
    slurm.accelerate("import os; print('cores:', os.environ.get('SRUN_CPUS_PER_TASK'))")
    process = slurm.start("train", str(CONFIG))
    assert f"cores: {cpus}" in process.communicate(timeout=30)[0]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("stage", "module"), [("curate", "data_curation"), ("train", "training"), ("evaluate", "evaluation")]
)
def test_each_node_launches_its_share(slurm: Slurm, stage: str, module: str) -> None:
    from accelerate.commands.launch import launch_command_parser

    slurm.accelerate("")
    process = slurm.start(stage, str(CONFIG), "training.epochs=2", "name=with space")
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 0, output
    ((verb, *arguments),) = slurm.calls("accelerate")
    assert verb == "launch"
    parsed = launch_command_parser().parse_args(arguments)
    assert (parsed.num_machines, parsed.num_processes, parsed.machine_rank) == (2, 16, 1)
    assert (parsed.main_process_ip, parsed.main_process_port) == ("node7", 20041)
    assert (parsed.module, parsed.training_script) == (True, module)
    assert parsed.training_script_args == [str(CONFIG), "training.epochs=2", "name=with space"]
    assert Path(parsed.config_file).is_file()
    assert not any(call[0] == "requeue" for call in slurm.calls("scontrol"))


LISTENS = "import signal, time\ndef end(*_): print('told'); sys.exit({code})\nsignal.signal(signal.SIGTERM, end)"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize(("code", "ends_with"), [(1, 75), (0, 0)])
def test_a_job_that_has_to_end_goes_back_into_the_queue(
    slurm: Slurm, number: signal.Signals, code: int, ends_with: int
) -> None:
    slurm.accelerate("time.sleep(30)", before=LISTENS.format(code=code))
    process = slurm.start("train", str(CONFIG))
    slurm.wait_for("accelerate")
    process.send_signal(number)
    if number == signal.SIGTERM:  # preemption: Slurm itself sends it to the step
        os.killpg(int(slurm.step.read_text()), signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    assert "told" in output
    assert process.returncode == ends_with, output
    assert (["requeue", "41"] in slurm.calls("scontrol")) == (ends_with == 75), "unless it had just finished"


def test_a_stage_that_fails_ends_on_all_nodes_and_is_not_tried_for_ever(slurm: Slurm) -> None:
    slurm.accelerate("sys.exit(2)")
    process = slurm.start("train", str(CONFIG))
    process.communicate(timeout=20)
    assert process.returncode not in (0, 75)
    assert slurm.calls("scancel") == [["--signal=KILL", "41.0"]]
    assert ["requeue", "41"] not in slurm.calls("scontrol")


def test_the_stages_are_chained(slurm: Slurm) -> None:
    output = slurm.start("pipeline", str(CONFIG), "seed=1").communicate(timeout=20)[0]
    assert output.splitlines() == ["curate: job 1", "train: job 2", "evaluate: job 3"]
    calls = slurm.calls("sbatch")
    assert [call[-3:] for call in calls] == [
        [f"launch/slurm/{stage}.sbatch", str(CONFIG), "seed=1"] for stage in ("curate", "train", "evaluate")
    ]
    assert [[a for a in call if "dependency" in a] for call in calls] == [
        [],
        ["--dependency=afterok:1"],
        ["--dependency=afterok:2"],
    ]


def test_job_files_say_once_what_they_share() -> None:
    for stage in ("curate", "train", "evaluate"):
        text = Path(f"launch/slurm/{stage}.sbatch").read_text()
        for line in ("#SBATCH --requeue", "#SBATCH --signal=B:USR1@120", "source launch/slurm/stage.sh"):
            assert line in text
        assert "accelerate" not in text


def test_the_cloud_task_starts_the_pipeline() -> None:
    task = yaml.safe_load(Path("launch/skypilot.yaml").read_text())
    assert Path(task["envs"]["CONFIG"]).is_file()
    (line,) = [line for line in task["run"].splitlines() if "calibration-tuning" in line]
    words = shlex.split(line)
    assert words[:2] == ["calibration-tuning", "run"]
    assert Path(words[words.index("--launch") + 1]).is_file()
    assert next(word for word in words if word.startswith("output_dir=")).partition("=")[2] in task["file_mounts"]


def test_the_container_holds_what_is_needed() -> None:
    lines = Path("launch/container/Containerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert all(Path(name).exists() for name in copied)
    assert any("constraints.txt" in line for line in lines if line.startswith("RUN"))
    assert 'ENTRYPOINT ["calibration-tuning"]' in lines
