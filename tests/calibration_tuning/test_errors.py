import pytest

from calibration_tuning.errors import reason


class HubError(Exception):
    def __init__(self, message: str, server_message: str | None = None) -> None:
        super().__init__(message)
        self.server_message = server_message


class RepositoryNotFoundError(HubError):
    pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one thing"), "one thing"),
        (ValueError(""), "ValueError"),
        (
            OSError("You need access.\n\nAsk at https://hub/x.\n401 Client Error."),
            "You need access. Ask at https://hub/x.",
        ),
        (HubError(" (Request ID: Root=1-2;a)\n\nBad request:\nno"), "Bad request: no"),
        (HubError(" (Request ID: Root=1-2;a)\n\nBad request:", 'license: "x" is none'), 'license: "x" is none'),
        (
            RepositoryNotFoundError("Not Found for url: x.\nCheck it.", "Invalid password."),
            "Not Found for url: x. Check it.",
        ),
    ],
)
def test_the_reason_in_one_line(error: Exception, said: str) -> None:
    assert reason(error) == said
