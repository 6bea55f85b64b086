"""`python -m publishing.publish RUN --repo ORG/NAME` uploads a checkpoint, its model card and its numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from calibration_tuning.command_line import DebugOption, quiet_libraries, run_command, with_errors
from calibration_tuning.errors import RunError, UserError, reason

CARD = "README.md"


def main(
    run: Annotated[Path, typer.Argument(help="Folder of an evaluated run, such as runs/demo.", show_default=False)],
    repo: Annotated[str, typer.Option(help="Repository on the hub: ORG/NAME.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public (default: private).")] = False,
    base_model: Annotated[
        str | None,
        typer.Option(help="ORG/NAME of the base model on the hub, if the run used a local folder.", show_default=False),
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="The adapter's licence as a hub id, for example apache-2.0.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files and the model card without uploading.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Publish a tuned checkpoint on the Hugging Face hub.

    Example: calibration-tuning publish runs/demo --repo me/demo-calibrated
    """
    with_errors(lambda: _publish(run, repo, public, base_model, license, dry_run), debug)


def _publish(run: Path, repo: str, public: bool, base_model: str | None, license: str | None, dry_run: bool) -> None:
    quiet_libraries()
    from calibration_tuning.checkpoint import FILE
    from publishing.bundle import collect
    from publishing.card import card, is_hub_id

    if repo.count("/") != 1:
        raise UserError(f"--repo {repo}: not a repository name; use ORG/NAME")
    bundle = collect(run, base_model)
    files: dict[str, Path | bytes] = bundle.files() | {CARD: card(bundle, repo, license).encode()}
    if not is_hub_id(bundle.base_model) and not bundle.base_model.startswith("pypi:"):
        print(
            f"warning: the base model {bundle.base_model} is a local folder, which others cannot load; pass "
            "--base-model ORG/NAME",
            file=sys.stderr,
        )
    print(f"{bundle.demonstrations} questions of yours are in {FILE}, as demonstrations")
    if dry_run:
        for name, content in files.items():
            print(f"{len(content) if isinstance(content, bytes) else content.stat().st_size:>12,}  {name}")
        print(f"\n{bytes(files[CARD]).decode() if isinstance(files[CARD], bytes) else ''}")
        print(f"nothing was uploaded; without --dry-run, these {len(files)} files would go to {repo}")
        return
    print(f"published: {upload(repo, files, public, f'{bundle.config.name}: checkpoint and evaluation')}")


def upload(repo: str, files: dict[str, Path | bytes], public: bool, message: str) -> str:
    """Create the repository, upload all files in a single commit, and return the address.

    The repository is private unless `public`. The same commit deletes files of the published kinds that an earlier
    commit uploaded and that `files` does not contain. Weights that an interrupted upload has sent are not sent again,
    because the hub knows them by their hash.

    Raises `UserError` if the name is wrong, or if the repository is public already and `public` is false. Raises
    `RunError` if the hub refuses or cannot be reached; no file is published then.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError  # HTTPError of the client in use

    from publishing.bundle import is_of_a_published_kind

    api = HfApi()
    try:
        address = api.create_repo(repo, private=not public, exist_ok=True)
        private = api.repo_info(repo).private
        if not public and private is False:
            raise UserError(f"{repo}: already exists and is public; pass --public to publish there")
        if public and private:
            print(f"{repo}: already exists and stays private; its settings on the hub make it public")
        outdated = [name for name in api.list_repo_files(repo) if is_of_a_published_kind(name) and name not in files]
        added = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repo, [*map(CommitOperationDelete, outdated), *added], commit_message=message)
    except HFValidationError as error:
        raise UserError(f"--repo {repo}: not a repository name ({str(error).splitlines()[0]})") from None
    except (HTTPError, OSError, ValueError) as error:
        raise RunError(
            f"{repo}: upload failed ({reason(error)}); check `hf auth whoami` and run the same command again"
        ) from None
    return str(address)


if __name__ == "__main__":
    run_command(main)
