"""Where claims are in a long answer, and what they say together."""

from __future__ import annotations

import pytest

from calibration_tuning.claims import Claim, JudgedClaims, claim_question, claim_spans


@pytest.mark.parametrize(
    ("kind", "answer", "claims"),
    [
        ("one word", "Oslo", ["Oslo"]),
        ("a number", "42.", ["42."]),
        ("two sentences", "It is Oslo. It lies on a fjord!", ["It is Oslo.", "It lies on a fjord!"]),
        (
            "abbreviations",
            "Dr. Lee met Mr. Roy, e.g. in the U.S. often.",
            ["Dr. Lee met Mr. Roy, e.g. in the U.S. often."],
        ),
        ("decimals", "It costs 3.50 now. It did not.", ["It costs 3.50 now.", "It did not."]),
        ("a list", "They are:\n- Oslo\n* Rome, in Italy.\n3) Paris", ["They are:", "Oslo", "Rome, in Italy.", "Paris"]),
        ("numbers within a line", "1. It is Oslo. 2. It is old.", ["It is Oslo.", "2. It is old."]),
        ("a heading and a rule", "# Norway\n\n---\nIt is cold.", ["Norway", "It is cold."]),
        ("code", "So:\n```python\nx = 1. \n\ny = 2\n```\nDone.", ["So:", "```python\nx = 1. \n\ny = 2\n```", "Done."]),
        (
            "code on one line",
            "```print(1)``` is Python.\nIt is Oslo. It is old.\n\nThe sun is cold.",
            ["```print(1)``` is Python.", "It is Oslo.", "It is old.", "The sun is cold."],
        ),
        ("code without an end", "```\nx = 1\ny", ["```\nx = 1\ny"]),
        ("windows line ends", "One.\r\nTwo.\r\n", ["One.", "Two."]),
        ("Japanese", "京都は日本にある。古い町だ。", ["京都は日本にある。", "古い町だ。"]),
        ("Hindi", "हाँ। ठीक है।", ["हाँ।", "ठीक है।"]),
        ("white space around", "  It is Oslo.   \n\n", ["It is Oslo."]),
        ("braces", "{x} is {0}. So is %s.", ["{x} is {0}.", "So is %s."]),
        ("no letters", "...\n?! - ", []),
        ("nothing", "", []),
    ],
)
def test_claims_of_many_kinds_of_answer(kind: str, answer: str, claims: list[str]) -> None:
    spans = claim_spans(answer)
    assert [answer[start:end] for start, end in spans] == claims, kind
    ends = [end for _, end in spans]
    assert all(start >= end for (start, _), end in zip(spans[1:], ends, strict=False)), "they do not overlap"


def test_a_claim_is_asked_about_with_the_whole_answer() -> None:
    asked = claim_question(" Where is {it}? ", "In Oslo. In {0}.\n")
    assert asked == (
        "Where is {it}?\n\nAn answer to this question, which may be wrong in parts:\nIn Oslo. In {0}.\n\n"
        "Which claim of it is right?"
    )


def test_the_numbers_for_all_claims_by_hand() -> None:
    judged = JudgedClaims([Claim("a", 0, 1, 0.9), Claim("b", 2, 3, 0.5), Claim("c", 4, 5, 0.8)])
    assert judged.minimum == judged.confidence == 0.5
    assert judged.product == pytest.approx(0.36)
    assert judged.mean == pytest.approx(2.2 / 3)
    # If all claims are right together whenever one is, all are right with the least probability; never with more.
    assert judged.product <= judged.minimum <= judged.mean
