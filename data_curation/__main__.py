"""python -m data_curation CONFIG: questions -> answers -> grades -> few-shot uncertainty-query examples."""

from __future__ import annotations

from calibration_tuning.files import fingerprint, whole_folder, write_json, write_text
from calibration_tuning.records import SPLITS, FewShot, write_records
from calibration_tuning.run_config import RunConfig
from calibration_tuning.stage import already_made, run_stage
from calibration_tuning.tracking import tracked


def curate(config: RunConfig, force: bool) -> None:
    inputs = fingerprint(config.curation_inputs())
    if already_made(config.curation_dir, "manifest.json", inputs, force):
        return

    from data_curation.question_sets import load_questions
    from data_curation.splits import assign_splits, draw, drop_duplicates, take_demonstrations

    settings = config.curation
    raw = [question for source in config.questions for question in load_questions(source, config.seed)]
    unique = drop_duplicates(raw)
    shown, askable = take_demonstrations(unique, settings.answer_few_shot, config.seed)
    # A demonstration of the query takes its whole group out, hence a few questions more than the splits need.
    asked = draw(askable, settings.sizes.total + 3 * settings.query_few_shot, config.seed)

    from data_curation.answering import answer_and_grade
    from data_curation.card import data_card, manifest
    from data_curation.query_block import take_query_block

    graded = answer_and_grade(config, shown, asked)
    block, left = take_query_block(graded, settings.query_few_shot)
    kept = assign_splits(left, settings.sizes, config.seed)
    few_shot = FewShot(answer=shown, query=block)

    record = manifest(config, inputs, few_shot, kept, {"raw": len(raw), "distinct": len(unique), "asked": len(graded)})
    with whole_folder(config.curation_dir) as folder:
        for split in SPLITS:
            write_records(folder / f"{split}.parquet", [row for row in kept if row.split == split])
        write_json(folder / "few_shot.json", few_shot.model_dump())
        write_text(folder / "README.md", data_card(config, record, few_shot, kept))
        write_json(folder / "manifest.json", record)
    with tracked(config, "curate") as run:
        run.log({f"curation/{k}": v for k, v in record["counts"].items()})
    for split, numbers in record["splits"].items():
        print(f"  {split:<12}{numbers['examples']:>6} examples, {numbers['correct']:.1%} answered correctly")
    print(f"curated set: {config.curation_dir}")


if __name__ == "__main__":
    run_stage(curate, "Ask the model, grade its answers, and write few-shot uncertainty-query examples.")
