"""python -m publishing.publish RUN --repo ORG/NAME: a tuned checkpoint, its card and its numbers, in one commit."""

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
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    base_model: Annotated[
        str | None,
        typer.Option(help="ORG/NAME of the base model on the hub, if the run used a local folder.", show_default=False),
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="The adapter's licence as a hub id, for example apache-2.0.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded, and the card.")] = False,
    debug: DebugOption = False,
) -> None:
    """Publish a tuned checkpoint on the Hugging Face hub.

    Example: calibration-tuning publish runs/demo --repo me/demo-calibrated --private
    """
    with_errors(lambda: _publish(run, repo, private, base_model, license, dry_run), debug)


def _publish(run: Path, repo: str, private: bool, base_model: str | None, license: str | None, dry_run: bool) -> None:
    quiet_libraries()
    from publishing.bundle import collect
    from publishing.card import card, is_hub_id

    if repo.count("/") != 1:
        raise UserError(f"--repo {repo}: not a repository's name; use ORG/NAME")
    bundle = collect(run, base_model)
    files: dict[str, Path | bytes] = bundle.files() | {CARD: card(bundle, repo, license).encode()}
    if not is_hub_id(bundle.base_model) and not bundle.base_model.startswith("pypi:"):
        print(
            f"warning: the base model {bundle.base_model} is a local folder, which others cannot load; pass "
            "--base-model ORG/NAME",
            file=sys.stderr,
        )
    if dry_run:
        for name, content in files.items():
            print(f"{len(content) if isinstance(content, bytes) else content.stat().st_size:>12,}  {name}")
        print(f"\n{bytes(files[CARD]).decode() if isinstance(files[CARD], bytes) else ''}")
        print(f"nothing was uploaded; without --dry-run {repo} would get these {len(files)} files")
        return
    print(f"published: {upload(repo, files, private, f'{bundle.config.name}: adapter, calibrator and evaluation')}")


def upload(repo: str, files: dict[str, Path | bytes], private: bool, message: str) -> str:
    """Make the repository if need be and send all files in one commit; returns its address.

    Weights that an interrupted upload has sent already are known to the hub by their hash and not sent again. Raises
    `UserError` for a wrong name and where a `private` one is public already, `RunError` where the hub refuses or is out
    of reach; nothing is half published.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError  # the latter of whichever client it uses

    api = HfApi()
    try:
        # Not asked to be private, a new one is what its organisation wants new ones to be.
        address = api.create_repo(repo, private=private or None, exist_ok=True)
        if private and api.repo_info(repo).private is False:
            raise UserError(
                f"--private: {repo} is there already, for everybody to see; make it private or name another"
            )
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repo, operations, commit_message=message)
    except HFValidationError as error:
        raise UserError(f"--repo {repo}: not a repository's name ({str(error).splitlines()[0]})") from None
    except (HTTPError, OSError, ValueError) as error:
        raise RunError(f"{repo}: upload failed ({reason(error)}); check `hf auth whoami` and run it again") from None
    return str(address)


if __name__ == "__main__":
    run_command(main)
