"""Any OpenAI-compatible endpoint, such as `vllm serve`, with many requests under way (extra `openai`)."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from calibration_tuning.config.engines import OpenAIEngine
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.extras import pip_install
from calibration_tuning.lm.answering import Request, uniforms
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.likelihood import cloze_answer
from data_curation.engines import Failure, Finished, Job
from data_curation.engines.endpoint_calls import Endpoint
from data_curation.engines.endpoint_replies import REFUSED, NoAnswer, Written, written_answer

GIVE_UP = 8
"""After this many requests in a row with neither an answer nor a refusal (or as many as there are workers, if more),
the run stops: the endpoint is down. If a run ends with this many refusals and no answer, the settings are wrong."""

# Statuses that say something is wrong with the settings, not with one question.
WRONG_SETTINGS = {401: "the key is not accepted", 403: "access is denied", 404: "not found there"}


class OpenAI:
    """Text prompts go to `/completions`, chat prompts to `/chat/completions` (the server applies the template), given
    choices to `/completions` as token ids.

    The client library retries timeouts, 408, 409, 429 and 5xx with exponential backoff and honours `Retry-After`.
    """

    def __init__(self, settings: OpenAIEngine, job: Job) -> None:
        try:
            import openai
        except ImportError as error:
            raise UserError(f"{job.where}.kind: openai cannot be used ({error}); {pip_install('openai')}") from None
        self._openai = openai
        self._settings = settings
        self._job = job
        self._model = settings.served_model or job.model.path
        self._key = os.environ.get(settings.api_key_env, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            # The HTTP library's own complaint would show the key.
            raise UserError(f"environment variable {settings.api_key_env}: holds characters that no key can have")

    def batches(self, requests: Sequence[Request]) -> list[list[Request]]:
        ordered = sorted(requests, key=lambda request: request.kind)
        return [[request] for request in ordered]

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> None:
        """Servers do not offer the probabilities of tokens of our choice."""

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[list[Finished]]:
        """Answers as they come in, `concurrency` requests under way; the event loop runs in a separate thread.

        Raises `RunError` where every further request would fail as well (wrong key, unknown model, no server, no
        log-probabilities of given choices).
        """
        finished: queue.Queue[list[Finished] | BaseException | None] = queue.Queue()

        def work() -> None:
            try:
                asyncio.run(self._all([request for batch in batches for request in batch], finished))
                finished.put(None)
            except BaseExceptionGroup as group:
                finished.put(group.exceptions[0])
            except BaseException as error:  # raised again below, in the caller's thread
                finished.put(error)

        threading.Thread(target=work, daemon=True).start()
        while (item := finished.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    async def _all(self, requests: list[Request], finished: queue.Queue[Any]) -> None:
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
            name = f"{self._job.where}: {settings.base_url} ({self._model})"
            endpoint = Endpoint(client, name, self._key, self._job.prompt_format)

            async def worker() -> None:
                nonlocal in_a_row, answered
                for request in waiting:
                    answer = await self._one(endpoint, request)
                    if isinstance(answer, Answer):
                        in_a_row, answered = 0, True
                        finished.put([(request, answer), *refused])
                        refused.clear()
                    elif answer.lasting:
                        in_a_row = 0
                        # Counts once something is answered: a setting that is refused must not use up the questions.
                        refused.append((request, answer))
                    else:
                        in_a_row += 1
                        finished.put([(request, answer)])
                        if in_a_row >= max(settings.concurrency, GIVE_UP):
                            raise RunError(
                                f"{name} no longer answers: {answer.reason}, {in_a_row} "
                                "requests in a row; check that it is running, then run the same command again"
                            )

            async with asyncio.TaskGroup() as group:
                for _ in range(min(settings.concurrency, len(requests))):
                    group.create_task(worker())
        if not answered and len(refused) >= GIVE_UP:
            raise RunError(
                f"{name} answers none of {len(requests)} requests: "
                f"{refused[0][1].reason}; fix the settings or the endpoint, then run the same command again"
            )
        finished.put(refused)

    async def _one(self, endpoint: Endpoint, request: Request) -> Answer | Failure:
        errors = self._openai
        cloze = request.question.style == "cloze"
        try:
            return await (self._chosen if cloze else self._written)(endpoint, request)
        except NoAnswer as error:
            return Failure(endpoint.excerpt(str(error)), error.lasting)
        except errors.APITimeoutError:
            return Failure(f"no reply within {self._settings.timeout:g} s, {self._tries} times", lasting=False)
        except errors.APIConnectionError as error:
            return Failure(f"no connection ({error.__cause__ or error}), {self._tries} times", lasting=False)
        except errors.APIStatusError as error:
            reason = endpoint.message_of(error)
            if error.status_code in WRONG_SETTINGS:
                needed = "; style cloze needs /completions" if cloze and error.status_code == 404 else ""
                raise RunError(
                    f"{endpoint.name} replies {error.status_code}, "
                    f"{WRONG_SETTINGS[error.status_code]} ({reason}); check base_url, served_model and the environment "
                    f"variable {self._settings.api_key_env}{needed}"
                ) from None
            if error.status_code in REFUSED:
                return Failure(f"the endpoint refuses it ({reason})", lasting=True)
            return Failure(f"the endpoint replies {error.status_code} ({reason})", lasting=False)

    @property
    def _tries(self) -> int:
        return self._settings.max_retries + 1

    async def _written(self, endpoint: Endpoint, request: Request) -> Answer:
        prompt_format, question = self._job.prompt_format, request.question
        demonstrations = self._job.blocks.get(request.block, [])
        common = {
            "model": self._model,
            "temperature": self._job.temperature if request.sample else 0.0,
        }
        optional = {"seed": int(uniforms(request, self._job.seed)[0] * 2**31)}
        if prompt_format.style == "chat":
            asked = {
                "messages": prompt_format.answer_messages(demonstrations, question),
                "max_completion_tokens": request.max_new_tokens + prompt_format.trace_room,
            }
            reply = await endpoint.post("/chat/completions", common | asked, optional | {"logprobs": True})
            return self._answer(request, written_answer(reply))
        asked = {
            "prompt": prompt_format.answer_text(demonstrations, question),
            "max_tokens": request.max_new_tokens,
            "stop": [prompt_format.stop_text(question.multiline) or "\n"],
        }
        reply = await endpoint.post("/completions", common | asked, optional | {"logprobs": 1})
        return self._answer(request, written_answer(reply))

    async def _chosen(self, endpoint: Endpoint, request: Request) -> Answer:
        """The likeliest of the given choices, each read after the very token ids that the other engines read."""
        prompt_format = self._job.prompt_format
        block = prompt_format.few_shot_ids(self._job.blocks.get(request.block, []))
        prompt = [*block, *prompt_format.answering_ids(request.question)]
        choices = list(request.question.choices or ())
        ids = [prompt_format.answer_ids(choice) for choice in choices]
        logprobs = [await endpoint.continuation_logprobs(self._model, prompt, tokens) for tokens in ids]
        return cloze_answer(choices, ids, logprobs, self._job.cloze)

    def _answer(self, request: Request, written: Written) -> Answer:
        """With log-probabilities only where the endpoint's tokens are the tokens of our tokenizer."""
        prompt_format = self._job.prompt_format
        answer = written.text.strip()
        ids = prompt_format.answer_ids(answer) if answer else []
        count, room = self._trace_tokens(written), request.max_new_tokens
        if len(ids) > room:  # what a short trace left of its room, or a server that knows no limit by this name
            answer = str(prompt_format.tokenizer.decode(ids[:room])).strip()
            ids = prompt_format.answer_ids(answer)[:room]
        # Token by token, as another split can have the same length; tokenizers differ in whether they show leading
        # spaces.
        ours = [str(prompt_format.tokenizer.decode([token])).lstrip(" ") for token in ids]
        # Servers count the reasoning's tokens in; the answer's are then the last that are the same as ours.
        last = len(written.tokens) - len(ids)
        for start in range(last, -1, -1) if written.trace is not None else range(1):
            theirs = written.tokens[start : start + len(ids)]
            if "".join(theirs).strip() == answer and [token.lstrip(" ") for token in theirs] == ours:
                return Answer(
                    answer, ids, written.logprobs[start : start + len(ids)], trace=written.trace, trace_tokens=count
                )
        return Answer(answer, ids, [], trace=written.trace, trace_tokens=count)

    def _trace_tokens(self, written: Written) -> int:
        """By our tokenizer, and no more than are allowed, as tokenizers differ."""
        ids = self._job.prompt_format.tokenizer.encode(written.trace or "", add_special_tokens=False)
        return min(len(ids), self._job.prompt_format.thinking_tokens)
