"""How much a request may hold, whatever it claims."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException

from calibration_tuning.serving.shapes import problem

LARGEST = 2_000_000
"""Bytes of a request's body."""


class BodyLimit:
    """ASGI middleware that ends requests with larger bodies by status 413; it counts what comes, as a length that is
    missing or wrong must not matter."""

    def __init__(self, app: Any, largest: int = LARGEST) -> None:
        self.app = app
        self.largest = largest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen = 0

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.largest:
                raise HTTPException(413, f"the request is larger than {self.largest:,} bytes")
            return message

        try:
            await self.app(scope, counted, send)
        except HTTPException as error:
            await problem(str(error.detail), error.status_code)(scope, receive, send)
