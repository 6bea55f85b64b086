"""The routes of `calibration-tuning serve`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException as StarletteHTTPException

from calibration_tuning.calibrated_model import UNFAMILIAR, CalibratedAnswer, CalibratedModel
from calibration_tuning.claims import claim_spans
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.records import below
from calibration_tuning.serving.limits import BodyLimit
from calibration_tuning.serving.shapes import (
    MOST,
    ChatRequest,
    Pair,
    Pairs,
    chunks,
    claims,
    completion,
    judgement,
    problem,
)

HERE = Path(__file__).parent
PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
BEARER = HTTPBearer(auto_error=False)
LEFT = (499, "the client has left")
"""Status and detail of a reply that nobody reads."""
T = TypeVar("T")


class Line:
    """One request at a time on the model; `waiting` of them may stand in line, the others are told to come back. A
    client that leaves gives up its place; only work that has begun is finished."""

    def __init__(self, waiting: int) -> None:
        self.limiter = anyio.Semaphore(1)
        self.most = waiting + 1
        self.here = 0

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        if self.here >= self.most:
            raise HTTPException(503, f"{self.here} requests are being answered or waiting; try again in a moment")
        self.here += 1
        try:
            await self._turn(request)
            try:
                if await request.is_disconnected():
                    raise HTTPException(*LEFT)
                return await anyio.to_thread.run_sync(work)
            finally:
                self.limiter.release()
        except anyio.get_cancelled_exc_class():
            # By uvicorn, which has waited long enough after Ctrl-C.
            raise HTTPException(503, "the server is stopping") from None
        finally:
            self.here -= 1

    async def _turn(self, request: Request) -> None:
        """Acquire the limiter. Raises `HTTPException` if the client leaves before that."""
        has_turn = False
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(_cancel_if_left, request, waiting.cancel_scope)
            await self.limiter.acquire()
            has_turn = True
            waiting.cancel_scope.cancel()
        if not has_turn:
            raise HTTPException(*LEFT)


async def _cancel_if_left(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def make_app(
    model: CalibratedModel, name: str, token: str | None = None, waiting: int = 32, picture: Path | None = None
) -> FastAPI:
    """`name`: what the model is called in replies. With `token`, /v1 requires it as bearer token. `picture`: the
    reliability diagram shown on the page."""
    app = FastAPI(title="calibration-tuning", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit)
    line = Line(waiting)

    def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        if token is not None and (
            given is None or not secrets.compare_digest(given.credentials.encode(), token.encode())
        ):
            raise HTTPException(401, "wrong or missing bearer token", {"WWW-Authenticate": "Bearer"})

    guarded = [Depends(allowed)]
    described = {"id": name, "object": "model", "created": 0, "owned_by": "local"}

    @app.post("/v1/chat/completions", dependencies=guarded)
    async def chat(request: ChatRequest, http: Request) -> Response:
        asked = ([request.conversation], [request.choices], [request.context], request.max_new_tokens)

        def answered() -> tuple[CalibratedAnswer, dict[str, int]]:
            # The tokenizer is the worker's alone, so tokens are counted there too.
            (answer,) = model.answer_batch(*asked)
            return answer, usage(model, request, answer)

        answer, counted = await line.run(http, answered)
        if request.stream:
            parts = chunks(name, answer, counted if request.wants_usage else None)
            return StreamingResponse(_events(parts), media_type="text/event-stream")
        return JSONResponse(completion(name, answer, counted))

    @app.post("/v1/confidence", dependencies=guarded)
    async def confidence(pairs: Pairs, http: Request) -> Any:
        several = [pairs] if isinstance(pairs, Pair) else pairs
        asked = ([p.asked for p in several], [p.answer for p in several], [p.context for p in several])
        judged = await line.run(http, lambda: model.judge_batch(*asked))
        judgements = [judgement(answer) for answer in judged]
        return judgements[0] if isinstance(pairs, Pair) else judgements

    @app.post("/v1/claims", dependencies=guarded)
    async def judged_claims(pair: Pair, http: Request) -> Any:
        if (count := len(claim_spans(pair.answer))) > MOST:
            raise UserError(f"answer: has {count} sentences; one request may have {MOST} judged")
        return claims(await line.run(http, lambda: model.claims(pair.asked, pair.answer, pair.context)))

    @app.get("/v1/models", dependencies=guarded)
    def models() -> Any:
        return {"object": "list", "data": [described]}

    @app.get("/v1/models/{model_id:path}", dependencies=guarded)
    def one_model(model_id: str) -> Any:
        if model_id != name:
            raise HTTPException(404, f"no model {model_id}; this server has {name}")
        return described

    @app.get("/health")
    def health() -> Any:
        return {"status": "ok"}

    @app.get("/about")
    def about() -> Any:
        """What the page says of the model."""
        threshold = model.threshold
        return {
            "model": name,
            "base": model.record.model.path,
            "calibrator": model.record.calibrator.kind,
            "error_rate": threshold and threshold.error_rate,
            "unfamiliar": UNFAMILIAR,
            "needs_token": token is not None,
            "has_picture": picture is not None,
        }

    for path, (file, kind) in PAGE.items():
        app.add_api_route(path, _file(HERE / file, kind), methods=["GET"], name=file)
    if picture is not None:
        app.add_api_route("/reliability.png", _file(picture, "image/png"), methods=["GET"])
    _errors_like_openai(app)
    return app


def usage(model: CalibratedModel, request: ChatRequest, answer: CalibratedAnswer) -> dict[str, int]:
    """Tokens of the conversation, as it is rendered for the model, and of the answer. The few-shot examples and the
    query, which every request shares, are not counted."""
    conversation = request.conversation
    prompt = model.format_for(conversation.start)
    question = prompt.question_ids(below(request.context, conversation.question))
    asked = len(prompt.few_shot_ids((), conversation.earlier)) + len(question)
    return {"prompt_tokens": asked, "completion_tokens": answer.tokens, "total_tokens": asked + answer.tokens}


def _events(parts: list[dict[str, Any]]) -> Iterator[str]:
    for part in parts:
        yield f"data: {json.dumps(part)}\n\n"
    yield "data: [DONE]\n\n"


def _file(path: Path, kind: str) -> Callable[[], FileResponse]:
    return lambda: FileResponse(path, media_type=kind, headers=HEADERS)


def _errors_like_openai(app: FastAPI) -> None:
    # Coroutines: functions would wait for a thread, in which a server that stops does not let them reply.
    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        # Beside the body, pydantic names which of the two forms of `Pairs` it has read.
        place = [part for part in first["loc"] if part not in ("body", "pair", "pairs")]
        if first["type"] == "json_invalid" or (not place and first["type"] in ("missing", "model_attributes_type")):
            return problem("the body must be a JSON object, sent as Content-Type: application/json", 400)
        where, message = ".".join(map(str, place)), str(first["msg"]).removeprefix("Value error, ")
        parameter = ".".join(part for part in place if isinstance(part, str)) or None
        return problem(f"{where}: {message}" if where else message, 400, parameter)

    @app.exception_handler(UserError)
    async def refused(request: Request, error: UserError) -> JSONResponse:
        return problem(str(error), 400)

    @app.exception_handler(RunError)
    async def failed(request: Request, error: RunError) -> JSONResponse:
        return problem(str(error), 500)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        # Out of memory, say; the traceback goes to the server's log, not to the client.
        return problem(f"the server failed ({type(error).__name__})", 500)

    @app.exception_handler(StarletteHTTPException)
    async def told(request: Request, error: StarletteHTTPException) -> JSONResponse:
        headers = dict(error.headers or {}) | ({"Retry-After": "1"} if error.status_code == 503 else {})
        return problem(str(error.detail), error.status_code, headers=headers)
