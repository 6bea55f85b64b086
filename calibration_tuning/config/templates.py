"""Sandboxed Jinja templates over the columns of a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import regex
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from calibration_tuning.values import as_text, is_missing

_EXPRESSION = re.compile(r"\{\{[-+]?((?:(?!\{\{|\}\}).)*?)[-+]?\}\}", re.DOTALL)

REGEX_SECONDS = 2  # a pattern can take for ever on an unlucky row

Row = Mapping[str, Any]


class TemplateFailed(Exception):
    """A template and a row do not fit: a column is missing, or an expression fails."""


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=False, finalize=_within_text
    )
    environment.filters["from_json"] = json.loads
    environment.filters["regex_replace"] = _replaced
    return environment


def _within_text(value: Any) -> Any:
    """A value within text. Lists, structs and missing values fail: what Python writes for them is no text."""
    if isinstance(value, str | int | Undefined):
        return value
    if is_missing(value):
        raise TypeError("a value is missing")
    return as_text(value)


def _replaced(text: Any, pattern: str, by: str = "") -> str:
    return regex.sub(pattern, by, str(text), timeout=REGEX_SECONDS)


def lone_expression(template: str) -> str | None:
    """Return the expression of a template that is one `{{ expression }}` and nothing else; None for other templates."""
    lone = _EXPRESSION.fullmatch(template.strip())
    return lone and lone[1].strip()


@cache
def compiled(template: str) -> Callable[[Row], Any]:
    """A function from a row to what the template says: the value of a lone `{{ expression }}`, otherwise text.

    Raises `TemplateSyntaxError` for one that cannot be parsed. The function raises `TemplateFailed`, in words, where
    the row lacks a column or the expression cannot be computed.
    """
    lone = lone_expression(template)
    render: Callable[..., Any]
    try:
        if lone is not None:
            render = _environment().compile_expression(lone, undefined_to_none=False)
        else:
            render = _environment().from_string(template).render
    except (ValueError, RecursionError) as error:  # numbers of 5,000 digits, brackets 1,000 deep
        raise TemplateSyntaxError(str(error), 1) from None

    def value(row: Row) -> Any:
        try:
            rendered = render({**row, "row": row})
            if isinstance(rendered, Undefined):
                rendered = str(rendered)  # StrictUndefined: raises and says what is missing
        except TemplateError as error:
            raise TemplateFailed(f"{template!r} fails ({error.message})") from None
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, regex.error) as error:
            raise TemplateFailed(f"{template!r} fails ({error})") from None
        except (MemoryError, RecursionError, TimeoutError) as error:
            raise TemplateFailed(f"{template!r} takes too much ({type(error).__name__})") from None
        return rendered

    return value
