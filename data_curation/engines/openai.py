"""Any OpenAI-compatible endpoint, such as `vllm serve`, with many requests under way (pip install openai)."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from calibration_tuning.config.engines import OpenAIEngine
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.lm.answering import Request, uniforms
from calibration_tuning.lm.generation import Answer
from data_curation.engines import Failure, Finished, Job

GIVE_UP = 8
"""So many requests in a row without a reply, or one from each worker, and the endpoint counts as gone. So many
refusals without a single answer, and it is the settings that are refused."""

# Statuses that say something is wrong with the settings, not with one question; and those of one question.
WRONG_SETTINGS = {401: "the key is not accepted", 403: "access is denied", 404: "not found there"}
REFUSED = (400, 413, 422)


class OpenAI:
    """Text prompts go to `/completions`, chat prompts to `/chat/completions` (the server applies the template).

    The client library retries timeouts, 408, 409, 429 and 5xx with exponential backoff and honours `Retry-After`.
    """

    def __init__(self, settings: OpenAIEngine, job: Job) -> None:
        try:
            import openai
        except ImportError as error:
            raise UserError(
                f"curation.engine.kind: openai cannot be used ({error}); run pip install -e '.[openai]'"
            ) from None
        self._openai = openai
        self._settings = settings
        self._job = job
        self._model = settings.served_model or job.model.path
        self._key = os.environ.get(settings.api_key_env, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            # The HTTP library's own complaint would show the key.
            raise UserError(f"environment variable {settings.api_key_env}: holds characters that no key can have")

    def batches(self, requests: Sequence[Request]) -> list[list[Request]]:
        if any(request.question.style == "cloze" for request in requests):
            raise UserError("curation.engine.kind: openai cannot score given choices (style cloze); use transformers")
        ordered = sorted(requests, key=lambda request: request.kind)
        return [[request] for request in ordered]

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> None:
        """Servers do not offer the probabilities of tokens of our choice."""

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[list[Finished]]:
        """Answers as they come in, `concurrency` requests under way; the event loop runs in a separate thread.

        Raises `RunError` where every further request would fail as well (wrong key, unknown model, no server).
        """
        done: queue.Queue[list[Finished] | BaseException | None] = queue.Queue()

        def work() -> None:
            try:
                asyncio.run(self._all([request for batch in batches for request in batch], done))
                done.put(None)
            except BaseExceptionGroup as group:
                done.put(group.exceptions[0])
            except BaseException as error:  # raised again below, in the caller's thread
                done.put(error)

        threading.Thread(target=work, daemon=True).start()
        while (item := done.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    async def _all(self, requests: list[Request], done: queue.Queue[Any]) -> None:
        settings = self._settings
        waiting = iter(requests)
        in_a_row = 0
        answered = False
        refused: list[tuple[Request, Failure]] = []
        async with self._openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=self._key or "none",
            timeout=settings.timeout,
            max_retries=settings.max_retries,
        ) as client:

            async def worker() -> None:
                nonlocal in_a_row, answered
                for request in waiting:
                    answer = await self._one(client, request)
                    if isinstance(answer, Answer):
                        in_a_row, answered = 0, True
                        done.put([(request, answer), *refused])
                        refused.clear()
                    elif answer.lasting:
                        in_a_row = 0
                        # Counts once something is answered: a setting that is refused must not use up the questions.
                        refused.append((request, answer))
                    else:
                        in_a_row += 1
                        done.put([(request, answer)])
                        if in_a_row >= max(settings.concurrency, GIVE_UP):
                            raise RunError(
                                f"curation.engine: {settings.base_url} answers no longer: {answer.reason}, "
                                f"{in_a_row} requests in a row; see that it runs, then run the same command again"
                            )

            async with asyncio.TaskGroup() as group:
                for _ in range(min(settings.concurrency, len(requests))):
                    group.create_task(worker())
        if not answered and len(refused) >= GIVE_UP:
            raise RunError(
                f"curation.engine: {settings.base_url} ({self._model}) answers none of {len(requests)} requests: "
                f"{refused[0][1].reason}; mend the settings or the endpoint, then run the same command again"
            )
        done.put(refused)

    async def _one(self, client: Any, request: Request) -> Answer | Failure:
        errors = self._openai
        where = f"{self._settings.base_url} ({self._model})"
        try:
            return await (self._chat if self._job.prompt_format.style == "chat" else self._text)(client, request)
        except errors.APITimeoutError:
            return Failure(f"no reply within {self._settings.timeout:g} s, {self._tries} times", lasting=False)
        except errors.APIConnectionError as error:
            return Failure(f"no connection ({error.__cause__ or error}), {self._tries} times", lasting=False)
        except errors.APIStatusError as error:
            if error.status_code in WRONG_SETTINGS:
                raise RunError(
                    f"curation.engine: {where} replies {error.status_code}, {WRONG_SETTINGS[error.status_code]}; check "
                    f"base_url, served_model and the environment variable {self._settings.api_key_env}"
                ) from None
            if error.status_code in REFUSED:
                return Failure(f"the endpoint refuses it ({self._told(error)})", lasting=True)
            return Failure(f"the endpoint replies {error.status_code}", lasting=False)
        except (errors.OpenAIError, ValueError, TypeError, AttributeError, IndexError) as error:
            return Failure(f"the endpoint's reply is not of its protocol ({type(error).__name__})", lasting=False)

    def _told(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        return (text.replace(self._key, "***") if self._key else text)[:300]

    @property
    def _tries(self) -> int:
        return self._settings.max_retries + 1

    def _parameters(self, request: Request) -> dict[str, Any]:
        multiline, prompt_format = request.question.multiline, self._job.prompt_format
        ends: dict[str, Any] = {}
        if prompt_format.style == "text":
            ends["stop"] = [prompt_format.stop_text(multiline) or "\n"]
        return {
            "model": self._model,
            "temperature": self._job.temperature if request.sample else 0.0,
            "seed": int(uniforms(request, self._job.seed)[0] * 2**31),
            **ends,
        }

    async def _text(self, client: Any, request: Request) -> Answer:
        demonstrations = self._job.blocks.get(request.block, [])
        reply = await client.completions.create(
            prompt=self._job.prompt_format.answer_text(demonstrations, request.question.text),
            max_tokens=request.max_new_tokens,
            logprobs=1,
            **self._parameters(request),
        )
        choice = reply.choices[0]
        given = choice.logprobs
        offered = given and given.tokens and given.token_logprobs
        pairs = list(zip(given.tokens, given.token_logprobs, strict=True)) if offered else []
        return self._answer(choice.text, pairs)

    async def _chat(self, client: Any, request: Request) -> Answer:
        demonstrations = self._job.blocks.get(request.block, [])
        reply = await client.chat.completions.create(
            messages=self._job.prompt_format.answer_messages(demonstrations, request.question.text),
            max_completion_tokens=request.max_new_tokens,
            logprobs=True,
            **self._parameters(request),
        )
        choice = reply.choices[0]
        given = choice.logprobs.content if choice.logprobs else None
        return self._answer(choice.message.content, [(token.token, token.logprob) for token in given or []])

    def _answer(self, text: str | None, pairs: list[tuple[str, float]]) -> Answer:
        """With log-probabilities only where the endpoint's tokens are the tokens of our tokenizer."""
        if text is None:
            raise ValueError("no text")
        answer = text.encode(errors="replace").decode().strip()  # half of a surrogate pair fits into no file
        prompt_format = self._job.prompt_format
        ids = prompt_format.answer_ids(answer) if answer else []
        # One by one, as another split can have the same length; tokenizers differ in whether they show leading spaces.
        ours = [str(prompt_format.tokenizer.decode([token])).lstrip(" ") for token in ids]
        theirs = [token for token, _ in pairs[: len(ids)]]
        same = "".join(theirs).strip() == answer and [token.lstrip(" ") for token in theirs] == ours
        return Answer(answer, ids, [float(value) for _, value in pairs[: len(ids)]] if same else [])
