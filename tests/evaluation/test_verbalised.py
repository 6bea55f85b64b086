"""Stated confidences, as language models write them."""

import pytest

from evaluation.passes.verbalised import read_percent, read_words

PERCENT = [
    ("90%", 0.9), ("0,9", 0.9), ("1e-3", 0.001), ("1. 80%", 0.8), ("1) 0.8", 0.8), ("(1) 80%", 0.8),
    ("80,5%", 0.805), ("１００％", 1), (".9", 0.9), ("ninety percent", 0.9), ("Probability: 0.85", 0.85),
    ("0.9 (90%)", 0.9), ("80% right, 20% wrong", None), (">90%", None), ("at least 90%", None), ("-5%", None),
    ("–5%", None), ("5e-1", 0.5), ("90-95%", None), ("<think>10%</think>90%", 0.9), ("1,000", None),
    ("100 percent", 1), ("x2", None), ("99.9%", 0.999), ("1. 0,75", 0.75), ("2. 90", 0.9), ("90 per cent", 0.9),
    ("about 0.7.", 0.7), ("0.", 0), ("1.", 1), ("100%.", 1), ("1e-3%", 1e-05), ("50/50", None), ("not 90%", None),
    ("**90%**", 0.9), ("**0.9**", 0.9), ("~80%", 0.8), ("≈80%", 0.8), ("80 %", 0.8), ("85/100", None),
    ("one hundred percent", 1), ("1", 1), ("1,5%", 0.015), ("- 80%", 0.8), ("95%, 95%", 0.95),
    ("0.95 to be exact", 0.95),
]  # fmt: skip
WORDS = [
    ("hardly likely", None), ("somewhat likely", None), ("very likely", None), ("It is highly likely.", 0.9),
    ("likely incorrect", None), ("not likely", None), ("unlikely, not likely", 0.2), ("I would say likely", 0.7),
    ("likely that it is wrong", None), ("Most likely", None), ("more likely than not", None),
    ("almost no chance", 0.05), ("a very good chance", 0.8), ("Highly unlikely", 0.1), ("isn't likely", None),
    ("barely probable", None), ("It's about even", 0.5), ("better than even", 0.6), ("likely or unlikely", None),
    ("almost certain, highly likely", None), ("far from likely", None), ("less than likely", None),
    ("The answer is likely correct", 0.7), ("**Likely**", 0.7), ("<think>unlikely</think>likely", 0.7),
    ("quite unlikely", None), ("no, unlikely", 0.2), ("not impossible", None), ("scarcely likely", None),
    ("It is extremely unlikely", None), ("Likely.", 0.7), ("I think it is probable", 0.7),
    ("anything but likely", None), ("It is impossible to say", None), ("impossible for me to tell", None),
    ("Impossible to be certain.", None), ("impossible", 0.0), ("impossible to be correct", 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "expected"), PERCENT)
def test_a_percentage_is_read_as_a_person_would_or_left_out(reply: str, expected: float | None) -> None:
    assert read_percent(reply) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("reply", "expected"), WORDS)
def test_words_are_read_as_a_person_would_or_left_out(reply: str, expected: float | None) -> None:
    assert read_words(reply) == expected
