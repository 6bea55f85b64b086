"""The errors a user can cause, each one sentence: what is wrong, where, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """A wrong setting or a wrong input file. Ends a command with exit code 2."""

    exit_code = 2


class RunError(UserError):
    """A run that failed although its settings and inputs were right. Exit code 1."""

    exit_code = 1


def first_problem(error: ValidationError) -> str:
    """Of a file that does not validate, to stand behind its path: `, field: message`, or `: message`."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{', ' if field else ''}{field}: {first['msg'].removeprefix('Value error, ')}"
