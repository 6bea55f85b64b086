"""Answers beside the answers that they must equal, each comparison one printed line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from data_curation.engines import Engine, Failure

LOGPROBS_WITHIN = 1e-4
"""Natural log-probabilities in float32 by two implementations; sums over a choice's tokens may differ by more."""
CONFIDENCES_WITHIN = 5e-5
"""Half the log-probabilities' bound: a likelihood is one of the signals that a confidence is made of."""


@dataclass
class Checks:
    """What was compared, under a name such as `chat, in process`."""

    name: str
    failed: list[str] = field(default_factory=list)

    def note(self, what: str, passed: bool, numbers: str) -> None:
        print(f"{'ok  ' if passed else 'FAIL'} {self.name}, {what}: {numbers}", flush=True)
        if not passed:
            self.failed.append(what)

    def same_answers(
        self, what: str, actual: Mapping[str, object], expected: Mapping[str, Answer], by: str = "token_ids"
    ) -> None:
        """Answers equal, log-probabilities near, and enough different answers for that to mean something.

        `by` is `token_ids` or `text`: an endpoint says nothing of ids. Nor does it always offer log-probabilities that
        fit; those that it does are counted.
        """
        pairs = [(actual[key], answer) for key, answer in expected.items()]
        same = [(a, e) for a, e in pairs if isinstance(a, Answer) and getattr(a, by) == getattr(e, by)]
        for key, answer in expected.items():
            if getattr(actual[key], by, None) != getattr(answer, by):
                print(f"     {key}: {actual[key]}\n     expected {answer}", flush=True)
        offered = [(a, e) for a, e in same if a.token_logprobs and a.token_ids == e.token_ids]
        differences = [abs(x - y) for a, e in offered for x, y in zip(a.token_logprobs, e.token_logprobs, strict=True)]
        texts = len({answer.text for answer in expected.values()})
        self.note(
            what,
            len(same) == len(pairs)
            and texts > len(pairs) / 4
            and len(offered) > len(pairs) / 2
            and max(differences) < LOGPROBS_WITHIN,
            f"{len(same)} of {len(pairs)} equal ({texts} different texts), log-probabilities of {len(offered)} answers "
            f"within {max(differences, default=float('nan')):.1e}",
        )

    def reasoned(self, what: str, actual: Mapping[str, object], expected: Mapping[str, Answer]) -> None:
        """Endpoints set a trace of reasoning aside, and then have no answer."""
        refused = [a for key in expected if isinstance(a := actual[key], Failure) and "reason" in a.reason]
        self.note(what, len(refused) == len(expected), f"{len(refused)} of {len(expected)} replies without an answer")

    def same_choices(self, what: str, actual: Mapping[str, object], expected: Mapping[str, Answer]) -> None:
        """The same choice taken, and the log-likelihood of each choice the same."""
        pairs = [(a, e) for key, e in expected.items() if isinstance(a := actual[key], Answer)]
        differences = [
            abs(x - y) for a, e in pairs for x, y in zip(a.choice_logprobs or (), e.choice_logprobs or (), strict=True)
        ]
        same = sum(a.text == e.text for a, e in pairs)
        self.note(
            what,
            same == len(expected) and bool(differences) and max(differences) < LOGPROBS_WITHIN,
            f"{same} of {len(expected)} choices equal, {len(differences)} log-likelihoods within "
            f"{max(differences, default=float('nan')):.1e}",
        )

    def sampled(
        self, what: str, engine: Engine, requests: Sequence[Request], greedy: Mapping[str, Answer]
    ) -> dict[str, Answer]:
        """Sampled answers, the same when they are asked for again in another order, and not all the greedy ones."""
        drawn, again = answers(engine, requests), answers(engine, requests[::-1])
        got = {key: answer for key, answer in drawn.items() if isinstance(answer, Answer)}
        refused = {key for key, answer in drawn.items() if isinstance(answer, Failure) and "reason" in answer.reason}
        repeated = sum(getattr(again[key], "text", None) == answer.text for key, answer in got.items())
        other = sum(answer.text != greedy[f"{key.rpartition('#')[0]}#0"].text for key, answer in got.items())
        self.note(
            what,
            len(got) + len(refused) == len(requests) and repeated == len(got) and other > len(requests) / 10,
            f"{len(got)} of {len(requests)} answered ({len(refused)} reasoned instead), {repeated} the same when asked "
            f"again, {other} not the greedy one",
        )
        return got


def answers(engine: Engine, requests: Sequence[Request]) -> dict[str, Any]:
    """What the engine makes of each request (an answer or a failure), by the request's key."""
    return {request.key: result for batch in engine.answer(engine.batches(requests)) for request, result in batch}
