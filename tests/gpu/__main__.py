"""python -m tests.gpu: everything that only a GPU can show, in one call of under eight minutes (`make gpu-test`).

Prints a line for each check and writes all numbers to `--out` after every check, so that a call that is cut short
leaves what it has. The exit status is 1 if a check fails. `--device cpu` runs the same checks on a tiny model, which
tests this script; `--only NAME` runs single checks.
"""

from __future__ import annotations

import json
import time
import traceback
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from tests.gpu.checks import CHECKS, Skipped
from tests.gpu.sizes import Machine

LIMIT = 440.0
"""Seconds after which no further check begins."""


def main(
    device: str = "cuda",
    out: Path = Path("gpu.json"),
    only: Annotated[list[str] | None, typer.Option(help="Names of checks; all by default.")] = None,
) -> None:
    begun = time.monotonic()
    machine = Machine(torch.device(device))
    results: dict[str, dict[str, Any]] = {}
    for name, check in CHECKS.items():
        if only and name not in only:
            continue
        started = time.monotonic()
        if started - begun > LIMIT:
            results[name] = {"status": "skipped", "why": f"{LIMIT:.0f} s are over"}
        else:
            results[name] = outcome(check, machine)
        results[name]["seconds"] = round(time.monotonic() - started, 1)
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(line(name, results[name]), flush=True)
    failed = [name for name, result in results.items() if result["status"] == "fails"]
    print(f"{out}: {len(results)} checks in {time.monotonic() - begun:.0f} s, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def outcome(check: Any, machine: Machine) -> dict[str, Any]:
    """Return what a check measured, and whether it holds. A failing check does not end the others."""
    try:
        return {"status": "ok", **check(machine)}
    except Skipped as reason:
        return {"status": "skipped", "why": str(reason)}
    except Exception as error:
        return {"status": "fails", "why": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-2000:]}
    finally:
        machine.free()


def line(name: str, result: dict[str, Any]) -> str:
    numbers = {key: value for key, value in result.items() if key not in ("status", "trace")}
    shown = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in numbers.items()]
    return f"{result['status']:<7} {name}: {', '.join(shown)}"


if __name__ == "__main__":
    typer.run(main)
