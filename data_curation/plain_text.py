"""A text without its typography, so that copies from different places are equal."""

from __future__ import annotations

import re
import unicodedata

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")
_RAISED = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_TYPED = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛‹›´′", "'"),
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‐‑‒–—―−⁻", "-"),
        "。": ".",
        "؟": "?",
        **dict.fromkeys("¿¡\u00ad\u200b\u200c\u200d\u2060\ufeff"),
    }
)
"""Quotation marks, dashes and final marks as a keyboard has them, and nothing for what is not seen."""


def plain_text(text: str) -> str:
    """Return the text in lower case, with plain quotation marks, dashes and spaces, and without its final mark.

    Compatibility forms (full width, ligatures) become plain, but 5² is 5^2 and not 52. An exclamation mark goes with a
    word only (5! is a factorial), and of several final periods after a number (0.3...) one.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _RAISED.sub(r"^\g<0>", text).translate(_TYPED))
    text = " ".join(text.casefold().split())
    bare = text.rstrip(" ?.!:")
    return bare if bare[-2:].isalpha() else text.rstrip(" ?:").removesuffix(".")


def words(text: str) -> list[str]:
    """Return the words and symbols of `plain_text`; each Chinese, Japanese or Korean character is a word."""
    return _WORD.findall(plain_text(text))
