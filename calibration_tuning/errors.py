"""The errors a user can cause, each one sentence: what is wrong, where, and what to do."""


class UserError(Exception):
    """A wrong setting or a wrong input file. Ends a command with exit code 2."""

    exit_code = 2


class RunError(UserError):
    """A run that failed although its settings and inputs were right. Exit code 1."""

    exit_code = 1
