"""`python -m data_curation.check CONFIG` reads a run's question sets and says whether there are enough questions.

No model is loaded, and nothing is asked or written. Sets on the hub are not fetched. Pre-flight runs it.
"""

from __future__ import annotations

from calibration_tuning.command_line import (
    ConfigArgument,
    DebugOption,
    OverridesArgument,
    quiet_libraries,
    run_command,
    with_errors,
)
from calibration_tuning.config.run import RunConfig, load_run_config


def main(config: ConfigArgument, overrides: OverridesArgument = None, debug: DebugOption = False) -> None:
    """Read the question sets of a run. The exit code is 2 where one cannot be read or they are too few."""
    quiet_libraries()
    with_errors(lambda: print(check(load_run_config(config, overrides or []))), debug)


def check(config: RunConfig) -> str:
    """What was read, in one sentence. Raises `UserError` for a missing file, a set without usable rows (a misspelt
    column), and more questions asked than there are."""
    from data_curation.question_sets import load_questions, local_file
    from data_curation.selection import select

    remote = [entry.source for entry in config.questions if local_file(entry) is None]
    if not remote:
        selection = select(config, fits=lambda question, demonstrations: True)
        asked = len(selection.asked) + len(selection.evaluation)
        return f"{len(config.questions)} sets can be read, and {asked:,} of their questions are asked"
    here = [entry for entry in config.questions if entry.source not in remote]
    read = sum(len(load_questions(entry, entry.split).questions) for entry in here)
    unread = f"{len(remote)} sets on the hub are not fetched here, so their questions are not counted"
    return unread if not here else f"{len(here)} sets can be read ({read:,} questions); {unread}"


if __name__ == "__main__":
    run_command(main)
