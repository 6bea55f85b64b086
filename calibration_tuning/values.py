"""Values of a row as text: numbers as people write them, and nothing made of what is no text."""

from __future__ import annotations

import ast
import datetime
import io
import json
import math
import re
import tokenize
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_BYTES = re.compile(r"b(?P<quote>['\"]).*(?P=quote)", re.DOTALL)
"""How Python writes binary text; `DataFrame.to_csv` leaves it so."""
_PRINTED_CALLS = re.compile(r"array|(?:np|numpy)\.\w+|Timestamp|Decimal")
"""What numpy and pandas print around a value: `array(['a'], dtype=object)`, `np.float64(0.5)`."""
LARGEST = 1e16
"""Whole floats up to here are exact."""


class NotText(ValueError):
    """A value that is no text, and what it is."""


def is_missing(value: Any) -> bool:
    """None, or the NaN that tables hold where there is no value."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_text(value: Any) -> str:
    """The text of a scalar: 3.0 is "3", 1e-05 is "0.00001", UTF-8 bytes are what they spell, missing is "".

    Lone surrogates (half an emoji in broken JSON) become question marks: they fit into no tokenizer and no parquet
    file. Raises `NotText` for lists, structs, binary data and infinite numbers.
    """
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise NotText("is binary data, not text") from None
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()  # a table holds dates as moments
    if value is ...:
        raise NotText('is "...", which stands for values that numpy left out')
    if not isinstance(value, str | int | Decimal | datetime.date | datetime.time):
        raise NotText(f"is {kind_of(value)}, not text")
    return str(value).encode("utf-8", "replace").decode().strip()


def kind_of(value: Any) -> str:
    """What a structure is, in words."""
    if isinstance(value, Mapping):
        return f"a struct with the fields {', '.join(as_text(str(name)) for name in value)}"
    if isinstance(value, list | tuple | set):
        return "a list"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _number(value: float) -> str:
    if math.isinf(value):
        raise NotText(f"is {value}, which is no number")
    if value == int(value) and abs(value) < LARGEST:
        return str(int(value))
    return f"{Decimal(repr(value)):f}" if 1e-12 < abs(value) < LARGEST else repr(value)


def plain(value: Any) -> Any:
    """Return the value with UTF-8 bytes replaced by text and NaN by None, at any depth. Other bytes are unchanged."""
    if is_missing(value):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def parsed(value: Any) -> Any:
    """A list or struct that is written as text, as JSON, Python or numpy writes it; any other value as it is."""
    text = value.strip() if isinstance(value, str) else ""
    if not (text.startswith(("[", "{")) and text.endswith(("]", "}"))):
        return value
    for read in (json.loads, _printed):
        try:
            structure = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError, tokenize.TokenError):
            continue
        return structure if isinstance(structure, list | dict) else value
    return value


def _printed(text: str) -> Any:
    """The value of a Python literal, with what numpy prints: ['a' 'b'], array(['a'], dtype=object), nan."""
    return ast.literal_eval(_Unwrapped().visit(ast.parse(_with_commas(text), mode="eval")))


class _Unwrapped(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> Any:
        is_printed = len(node.args) == 1 and _PRINTED_CALLS.fullmatch(ast.unparse(node.func))
        return self.visit(node.args[0]) if is_printed else node

    def visit_Name(self, node: ast.Name) -> Any:
        return ast.Constant(None) if node.id == "nan" else node


def _with_commas(text: str) -> str:
    """The text with a comma between neighbouring values: numpy writes none, and Python would join ['a' 'b']."""
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    parts: list[str] = []
    end = None  # where a value ended, if that was the last token
    for token, after in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        if token.type == tokenize.NL:
            continue
        is_value = token.type in (tokenize.STRING, tokenize.NUMBER, tokenize.NAME) or token.string == "..."
        is_sign = token.string in ("-", "+") and token.end == after.start and token.start != end  # [1 -2], not [1 - 2]
        parts += [","] if end and (is_value or is_sign or token.string in ("[", "{")) else []
        parts.append(token.string)
        end = token.end if is_value or token.string in ("]", "}", ")") else None
    return " ".join(parts)


def unwrapped(cell: str) -> str:
    """The text of a cell; `b'Paris'`, which is how Python writes binary text, is Paris."""
    if not _BYTES.fullmatch(cell):
        return cell
    try:
        text = plain(ast.literal_eval(cell))
    except (ValueError, SyntaxError):
        return cell
    return text if isinstance(text, str) else cell
