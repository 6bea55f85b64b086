"""The errors a user can cause, each one sentence: what is wrong, where, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


_REQUEST = re.compile(r"\s*\(Request ID: [^)]*\)")


class UserError(Exception):
    """A wrong setting or a wrong input file. Ends a command with exit code 2."""

    exit_code = 2


class RunError(UserError):
    """A run that failed although its settings and inputs were right. Exit code 1."""

    exit_code = 1


def reason(error: Exception) -> str:
    """The message of a library's error, in one line.

    If the hub's server gives a reason, that is the message. Otherwise it is the error's first two lines, because the
    second says what to do about a gated or private repository. Numbers of requests are left out.
    """
    # To a repository that is not there the hub answers that the password is wrong.
    is_missing = type(error).__name__ == "RepositoryNotFoundError"
    message = _REQUEST.sub("", str((not is_missing and getattr(error, "server_message", None)) or error))
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


def first_problem(error: ValidationError) -> str:
    """The first thing that does not validate, to be put after a file's path: `, field: message`, or `: message`."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{', ' if field else ''}{field}: {first['msg'].removeprefix('Value error, ')}"
