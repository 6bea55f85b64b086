"""Made-up evidence: what passes could have found about answers nobody gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from calibration_tuning.checkpoint import CalibrationRecord
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.run import RunConfig
from calibration_tuning.metrics.calibrators import Calibrator
from calibration_tuning.metrics.token_bins import BINNINGS
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.records import GradedAnswer
from evaluation.evidence import Evidence
from evaluation.findings import Findings, key
from evaluation.passes.base import BOTH, Finding, pack
from evaluation.passes.tokens import TEMPERATURES

HOSTILE = "<script>document.title = 'broken'</script> | `a` [b](c) <img src=x onerror=\"document.title = 'broken'\">"
VOCABULARY = 9
SIZES = {"calibration": 60, "test": 80}


def answers(split: str, n: int, seed: int, **changes: Any) -> list[GradedAnswer]:
    correct = np.random.default_rng(seed).random(n) < 0.4
    return [
        GradedAnswer.model_validate(
            {
                "id": f"{split}{i}",
                "source": "s",
                "subject": f"t{i % 2}",
                "group": f"{split}{i // 2}",
                "question": f"What? {HOSTILE}",
                "references": [HOSTILE],
                "grader": "exact",
                "answer": HOSTILE,
                "token_ids": [1, 2],
                "token_logprobs": [-0.5, -0.1],
                "correct": float(c),
                **changes,
            }
        )
        for i, c in enumerate(correct)
    ]


def query(row: GradedAnswer, skill: float, generator: np.random.Generator) -> Finding:
    logit = float(generator.normal() + skill * (row.correct - 0.5))
    return {
        "logit": logit,
        "mass": 0.9,
        "vocabulary": VOCABULARY,
        "hidden": pack(np.array([logit, generator.normal()], dtype=np.float32)),
    }


def token_sums(logits: np.ndarray, targets: np.ndarray, binning: Any = "equal_width", by: float = 1.0) -> list[str]:
    """Packed, of each row: logits [n, 2, K], targets [n, 2]."""
    seen = TokenCalibration(10, binning)
    owners = np.repeat(np.arange(len(logits)), 2)
    seen.update(torch.tensor(logits.reshape(-1, VOCABULARY) / by), torch.tensor(targets.reshape(-1)), owners)
    return [pack(seen.sums[i]) for i in range(len(logits))]


def token_parts(n: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Of each row, what passes find at every temperature and with all bins; made for all rows at once, for time."""
    logits, targets = generator.normal(size=(n, 2, VOCABULARY)), generator.integers(0, VOCABULARY, (n, 2))
    binned = {binning: token_sums(logits, targets, binning) for binning in BINNINGS}
    scan = [token_sums(logits, targets, by=t) for t in TEMPERATURES]
    return [
        {
            "tokens": {binning: found[i] for binning, found in binned.items()},
            "scan": [one[i] for one in scan],
        }
        for i in range(n)
    ]


def logprobs(row: GradedAnswer, generator: np.random.Generator) -> list[float]:
    return [float(-generator.exponential() * (1.5 - row.correct)) for _ in row.token_ids]


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "made-up",
            "model": {"path": "m"},
            "questions": [{"path": "embedded:arithmetic"}],
            "training": {"calibrator": "temperature"},
            "evaluation": {"bootstrap_samples": 100, "samples": 4, "reasoning_tokens": [0, 16]},
        }
    )


@pytest.fixture(scope="module")
def make_evidence(config: RunConfig) -> Callable[..., Evidence]:
    """Evidence of a model whose query tells right from wrong with these skills before and after."""

    def make(
        skills: tuple[float, float] = (0.0, 4.0),
        splits: dict[str, Sequence[GradedAnswer]] | None = None,
        settings: dict[str, Any] | None = None,
        manifest: dict[str, Any] | None = None,
    ) -> Evidence:
        rows = splits or {name: answers(name, n, seed) for seed, (name, n) in enumerate(SIZES.items())}
        values: dict[str, dict[str, Finding]] = {
            name: {} for name in ("query", "query_zero_shot", "tokens", "p_true", "samples", "reasoning", "reanswered")
        }
        generator = np.random.default_rng(7)
        for own in rows.values():
            parts = {state: token_parts(len(own), generator) for state in BOTH}
            for i, row in enumerate(own):
                for state, skill in zip(BOTH, skills, strict=True):
                    at, part = key(state, row), parts[state][i]
                    asked = {"tokens": part["tokens"]["equal_width"]}
                    values["query"][at] = query(row, skill, generator) | asked
                    values["query_zero_shot"][at] = query(row, skill / 2, generator) | asked
                    values["tokens"][at] = {
                        "answer_logprobs": logprobs(row, generator),
                        "answer_entropies": [float(generator.exponential()) for _ in row.token_ids],
                        "vocabulary": VOCABULARY,
                        **part,
                    }
                    values["p_true"][at] = {"logit": float(generator.normal())}
                drawn = [{"answer": str(generator.integers(3)), "tokens": 2, "correct": 0.0} for _ in range(4)]
                values["samples"][key("before", row)] = {"samples": drawn}
                budget = {"answer": "x", "correct": row.correct, "tokens": 3, "token_probability": 0.5}
                values["reasoning"][key("after", row)] = {
                    "budgets": [{"budget": b, "query_logit": float(generator.normal()), **budget} for b in (0, 16)]
                }
        for row in rows["test"][:3]:
            values["reanswered"][key("before", row)] = {"answer": row.answer, "correct": row.correct}
            values["reanswered"][key("after", row)] = {"answer": "another", "correct": 1.0}
        settings = {
            "estimators": ["query", "query_zero_shot", "probe", "average_token_probability"],
            **(settings or {}),
        }
        evaluation = config.evaluation.model_validate(config.evaluation.model_dump() | settings)
        record = CalibrationRecord(
            model=ModelSettings(path="m"),
            base_files={},
            prompt_style="text",
            answer_tokens=(1, 2),
            query_few_shot=[],
            answer_few_shot=[],
            max_new_tokens=4,
            calibrator=Calibrator(kind="temperature", scale=1.0),
            calibrated_on={"n": len(rows["calibration"])},
            inputs_fingerprint="i",
            curation_fingerprint="c",
            versions={},
        )
        return Evidence(
            config.model_copy(update={"evaluation": evaluation}),
            {"fingerprint": "c", "second_grader": None, "settings": config.curation_inputs(), **(manifest or {})},
            record,
            rows,
            Findings(values, record.method),
        )

    return make


@pytest.fixture(scope="module")
def evidence(make_evidence: Callable[..., Evidence]) -> Evidence:
    return make_evidence()
