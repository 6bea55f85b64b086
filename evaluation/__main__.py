"""python -m evaluation CONFIG: the base and the tuned model on untouched test questions -> metrics and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibration_tuning.errors import UserError
from calibration_tuning.files import fingerprint, read_json, whole_folder, write_json
from calibration_tuning.run_config import RunConfig
from calibration_tuning.stage import already_made, run_stage
from calibration_tuning.tracking import tracked


def evaluate(config: RunConfig, force: bool) -> None:
    manifest = read_json(config.curation_dir / "manifest.json", "calibration-tuning curate CONFIG")
    trained = read_json(config.checkpoint_dir / "calibration.json", "calibration-tuning train CONFIG")
    if trained.get("curation_fingerprint") != manifest["fingerprint"]:
        raise UserError(
            f"{config.checkpoint_dir}: was trained on another curated set than {config.curation_dir}; train again"
        )
    settings = config.evaluation.model_dump(mode="json", exclude={"batch_size"})
    inputs = fingerprint([settings, config.seed, trained["inputs_fingerprint"]])
    if already_made(config.evaluation_dir, "run.json", inputs, force):
        return

    from evaluation.gather import gather
    from evaluation.report import write_report
    from evaluation.results import metrics_of
    from evaluation.tables import console_table, write_per_example

    evidence = gather(config, manifest)
    metrics = metrics_of(config, evidence)
    with whole_folder(config.evaluation_dir) as folder:
        write_json(folder / "metrics.json", metrics)
        write_per_example(folder / "per_example.parquet", evidence)
        write_report(folder, config, metrics, evidence)
        write_json(folder / "run.json", {"inputs_fingerprint": inputs})
    with tracked(config, "evaluate") as run:
        _track(run, metrics, config.evaluation_dir)
    console_table(metrics)
    print(f"report: {config.evaluation_dir / 'report.html'}")


def _track(run: Any, metrics: dict[str, Any], folder: Path) -> None:
    import wandb

    groups = {"": metrics, "tokens/": metrics["tokens"]}
    scalars = {
        f"{prefix}{side}/{name}": entry["value"]
        for prefix, group in groups.items()
        for side in ("before", "after", "difference")
        for name, entry in group[side].items()
        if entry["value"] is not None
    }
    images = {f"plots/{path.stem}": wandb.Image(str(path)) for path in sorted((folder / "plots").glob("*.png"))}
    run.log(scalars | images)


if __name__ == "__main__":
    run_stage(evaluate, "Score the base and the tuned model on the test questions and write the report.")
