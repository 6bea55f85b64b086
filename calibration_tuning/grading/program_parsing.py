"""The program that an answer means, without what surrounds code in chats."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from calibration_tuning.grading.program_harm import speaks_of_input, without_harm
from calibration_tuning.grading.program_names import (
    PLACE,
    bound_names,
    defined_names,
    is_program,
    needed_names,
    parsed,
    used_names,
)

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)\n", re.MULTILINE)
_PYTHON = frozenset({"python", "py", "python3", "python2", "ipython", "pycon", "{python}", "{.python}"})
_STARTS_CODE = re.compile(r"(?:def|class|import|from|async|if|for|while|with|try|return|print|@|#|\w+\s*=|[ \t]+\S)")
_DEFINES = re.compile(r"[ \t]*(?:(?:async[ ]+)?def|class)[ ]+\w+[ ]*[(:]")
_LANGUAGE_LINE = re.compile(  # "python" as a first line of code, "[PYTHON]" and "[/PYTHON]" around it
    r"^[ \t]*\[/?(?:PYTHON|CODE)\][ \t]*\n?|(?:\A\s*|(?<=```\n))(?:python3?|py)[ \t]*:?[ \t\r]*\n",
    re.MULTILINE | re.IGNORECASE,
)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_QUOTE = re.compile(r"^>(?!>)[ \t]?", re.MULTILINE)
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n`]*$", re.MULTILINE)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?:[ ](.*)|[ \t]*)$", re.MULTILINE)
_INVISIBLE = re.compile("[\ufeff\u200b\u200c\u200d\u2060]")
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000", " "))


def program_with(program: str, answer: str) -> str:
    """The question's program with the answer's code for `<answer>`.

    Left out of the code, unless the program itself speaks of them: an `if __name__ == "__main__"` block, and statements
    outside functions that read input, end the process or start unittest. The tests then decide.
    """
    code = program_code(answer, program)
    return program.replace(PLACE, code if speaks_of_input(program) else without_harm(code))


def program_code(answer: str, program: str = PLACE) -> str:
    """The code of an answer.

    Of its Python blocks, this is the last one that defines what `program` needs, together with the blocks that define
    its missing names. An answer without blocks is used as it is, without the prose around the code.
    """
    answer = _LANGUAGE_LINE.sub("", answer.lstrip("\ufeff\u200b"))
    blocks = list(_blocks(answer)) or list(_blocks(_QUOTE.sub("", answer)))
    if not blocks:
        return _within_a_sentence(answer, program) or _without_prose(answer, program)
    python = [block for block in blocks if block.language in _PYTHON] or [
        block for block in blocks if not block.language
    ]
    candidates = [
        _made_to_parse(block.code, program) if block.is_closed else _without_prose(block.code, program)
        for block in python or blocks[:1]
    ]
    needed = needed_names(program)
    fit = [code for code in candidates if needed & defined_names(code)]
    if not fit and (outside := _before_fence(answer, program, needed)):
        return outside
    fit = fit or [code for code in candidates if _is_body(code, program)]
    fit = fit or [code for code in candidates if is_program(program.replace(PLACE, code))]
    if not fit:
        return candidates[0]
    chosen = fit[-1] if needed else fit[0]
    helpers = _helpers(chosen, candidates, needed)
    return "\n".join([chosen, *helpers] if _is_body(chosen, program) else [*helpers, chosen])


def _within_a_sentence(answer: str, program: str) -> str | None:
    """The last `def f(x): return x` between backticks that defines what the program needs, in an answer that is no
    program."""
    if is_program(program.replace(PLACE, answer)):
        return None
    needed = needed_names(program)
    definitions = [code for code in _INLINE.findall(answer) if needed & defined_names(code, variables=False)]
    return next((code for code in reversed(definitions) if is_program(program.replace(PLACE, code))), None)


def _before_fence(answer: str, program: str, needed: set[str]) -> str | None:
    """The program that stands before the first fence, which then only closes, or shows a use."""
    fence = _FENCE.search(answer)
    code = _without_prose(answer[: fence.start()], program) if fence else ""
    parses = bool(code.strip()) and is_program(program.replace(PLACE, code))
    return code if needed & defined_names(code) or (_is_body(code, program) if needed else parses) else None


def _is_body(code: str, program: str) -> bool:
    """True if code is the body of a function that the program begins."""
    return not is_program(code) and is_program(program.replace(PLACE, code))


def _helpers(chosen: str, candidates: list[str], needed: set[str]) -> list[str]:
    """The blocks that define the names that the chosen block lacks, and the names that these blocks lack in turn.

    Of the blocks after the chosen one, only definitions and imports count: other statements there use the program.
    """
    lacking = (used_names(chosen) | needed) - bound_names(chosen) - set(dir(builtins))
    programs = [code for code in candidates if code is not chosen and is_program(code)]
    before = candidates.index(chosen)
    gives = {code: (bound_names(code) - needed) | defined_names(code) for code in programs}
    helpers: list[str] = []
    while more := [
        code
        for code in programs
        if code not in helpers and gives[code] & lacking and (candidates.index(code) < before or _only_defines(code))
    ]:
        helpers += more
        lacking = (
            set().union(lacking, *map(used_names, more))
            - set().union(*(gives[code] for code in more))
            - set(dir(builtins))
        )
    return [code for code in programs if code in helpers]


def _only_defines(code: str) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    tree, _ = parsed(code)
    return tree is not None and all(isinstance(node, kinds) for node in tree.body)


class _Block(NamedTuple):
    language: str
    code: str
    is_closed: bool


def _blocks(answer: str) -> Iterator[_Block]:
    """Each fenced block, closed or cut off, with the fence's indentation taken away."""
    position = 0
    while opening := _FENCE.search(answer, position):
        mark, indent = opening["fence"], opening["indent"]
        closing = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$", re.MULTILINE)
        end = closing.search(answer, opening.end())
        code = answer[opening.end() : end.start() if end else len(answer)]
        if indent:
            code = re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
        words = opening["info"].split()
        yield _Block(words[0].lower() if words else "", code, end is not None)
        position = end.end() if end else len(answer)


def _without_prose(answer: str, program: str) -> str:
    """The part of the answer that is a program: from its first line of code or first definition to the last line with
    which it parses. The whole answer if there is no such part."""
    if body := _indented_body(answer, program):
        return body
    needed, programs = needed_names(program), _programs_in(answer, program)
    first = next(programs, answer)
    return first if needed <= defined_names(first) else next((c for c in programs if needed & defined_names(c)), first)


def _programs_in(answer: str, program: str) -> Iterator[str]:
    for text in _cleaned(answer):
        if is_program(program.replace(PLACE, text)):
            yield text
        lines = text.split("\n")
        starts = (
            next((i for i, line in enumerate(lines) if is_code(line)), 0)
            for is_code in (_STARTS_CODE.match, _DEFINES.match)
        )
        for first in dict.fromkeys((0, *starts)):
            yield from _longest(lines[first:], program)


def _longest(lines: list[str], program: str) -> Iterator[str]:
    for end in range(len(lines), 0, -1):
        code = "\n".join(lines[:end])
        versions = (code, textwrap.dedent(code)) if lines[0][:1] in (" ", "\t") else (code,)
        for version in versions:
            if code.strip() and is_program(program.replace(PLACE, version)):
                yield version
                return


def _made_to_parse(code: str, program: str) -> str:
    """The code, cleaned as little as needed to parse in the program; unchanged if nothing helps."""
    programs = (text for text in _cleaned(code) if is_program(program.replace(PLACE, text)))
    return next(programs, None) or _indented_body(code, program) or code


def _indented_body(code: str, program: str) -> str | None:
    """The code with the indentation that it lacks, if it returns without a function and the program begins one."""
    bare = textwrap.dedent(code)
    indented = textwrap.indent(bare, "    ")
    is_body = parsed(bare)[0] is not None and not is_program(bare) and not is_program(program.replace(PLACE, bare))
    return indented if is_body and is_program(program.replace(PLACE, indented)) else None


def _cleaned(code: str) -> Iterator[str]:
    """The code as it is, and less and less of what surrounds code in chats. Indentation, which the body of a function
    needs, goes last."""
    visible = _INVISIBLE.sub("", code).translate(_SPACES)
    unfenced = _FENCE_LINE.sub("", _QUOTE.sub("", visible))
    versions = [code, visible, unfenced, re.sub(r"\A\s*`([^`]*)`\s*\Z", r"\1", visible)]
    if ">>>" in visible:
        # The lines after prompts alone; then with the lines between them, which are output or the rest of a body.
        versions.append("\n".join(match[1] or "" for match in _PROMPT.finditer(visible)))
        versions.append(_PROMPT.sub(lambda match: match[1] or "", visible))
    yield from dict.fromkeys([*versions, *map(textwrap.dedent, versions)])
