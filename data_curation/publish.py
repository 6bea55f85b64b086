"""python -m data_curation.publish CONFIG ORG/NAME: the curated set as a data set on the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from calibration_tuning.command_line import ConfigArgument, DebugOption, OverridesArgument, run_command, with_errors
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet, curation_folder
from calibration_tuning.errors import RunError, UserError, reason
from calibration_tuning.records import SPLITS

FILES = [
    *(f"{split}.parquet" for split in SPLITS),
    *("README.md", "manifest.json", "few_shot.json", "dropped.jsonl", "SHA256SUMS"),
]


def publish(config: RunConfig, repo: str, public: bool) -> str:
    """Upload the finished set in one commit and return its address. Private unless `public`. Files of an earlier set
    that this one has not (`evaluation.parquet`) are deleted.

    Raises `UserError` for a set that is not there or a wrong name, `RunError` where the hub refuses or is out of reach.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError  # the latter of whichever client it uses

    curated = CuratedSet.read(curation_folder(config))
    api = HfApi()
    try:
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        private = api.repo_info(repo, repo_type="dataset").private
        if not public and private is False:
            raise UserError(f"{repo}: already exists and is public; pass --public to publish there")
        if public and private:
            print(f"{repo}: already exists and stays private; its settings on the hub make it public")
        commit = api.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            folder_path=curated.folder,
            allow_patterns=FILES,
            delete_patterns=FILES,
            commit_message=f"{config.name}, fingerprint {curated.fingerprint}",
        )
    except HFValidationError as error:
        raise UserError(f"{repo}: not a repository name ({str(error).splitlines()[0]}); use ORG/NAME") from None
    except (HTTPError, OSError) as error:
        raise RunError(f"{repo}: upload failed ({reason(error)}); check `hf auth whoami` and run it again") from None
    return str(commit.repo_url)


def main(
    config: ConfigArgument,
    repo: Annotated[str, typer.Argument(help="Repository on the hub: ORG/NAME.", show_default=False)],
    overrides: OverridesArgument = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new data set public (default: private).")] = False,
    debug: DebugOption = False,
) -> None:
    """Publish a curated set on the Hugging Face hub."""

    def work() -> None:
        print(f"published: {publish(load_run_config(config, overrides or []), repo, public)}")

    with_errors(work, debug)


if __name__ == "__main__":
    run_command(main)
