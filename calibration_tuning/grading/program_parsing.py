"""The program that an answer means, and what it would run besides: guards, prompts for input, early ends."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator, Sequence

PLACE = "<answer>"
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)\n", re.MULTILINE)
_PYTHON = frozenset({"python", "py", "python3", "python2", "ipython", "pycon", "{python}", "{.python}", ""})
_STARTS_CODE = re.compile(r"(?:def|class|import|from|async|if|for|while|with|try|return|print|@|#|\w+\s*=|[ \t]+\S)")
_LANGUAGE_LINE = re.compile(  # "python" as a first line of code, "[PYTHON]" and "[/PYTHON]" around it
    r"^[ \t]*\[/?(?:PYTHON|CODE)\][ \t]*\n?|(?:\A\s*|(?<=```\n))(?:python3?|py)[ \t]*:?[ \t\r]*\n",
    re.MULTILINE | re.IGNORECASE,
)
_QUOTE = re.compile(r"^>(?!>)[ \t]?", re.MULTILINE)
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n`]*$", re.MULTILINE)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?:[ ](.*)|[ \t]*)$", re.MULTILINE)
_INVISIBLE = re.compile("[\ufeff\u200b\u200c\u200d\u2060]")
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000", " "))
_ENDS = frozenset({"exit", "quit", "_exit", "abort"})


def program_with(program: str, answer: str) -> str:
    """The question's program with the answer's code for `<answer>`.

    Left out of the code, unless the program itself speaks of them: an `if __name__ == "__main__"` block, and statements
    outside functions that read input, end the process or start unittest. The tests then decide.
    """
    code = program_code(answer, program)
    return program.replace(PLACE, code if _speaks_of_input(program) else without_harm(code))


def program_code(answer: str, program: str = PLACE) -> str:
    """The code of an answer: of its Python blocks the last that defines what `program` needs, with other blocks that
    define what it lacks; an answer without blocks as it is, less the prose around it."""
    answer = _LANGUAGE_LINE.sub("", answer.lstrip("\ufeff\u200b"))
    blocks = list(_blocks(answer)) or list(_blocks(_QUOTE.sub("", answer)))
    if not blocks:
        return _without_prose(answer, program)
    python = [code for info, code in blocks if info in _PYTHON and info] or [code for info, code in blocks if not info]
    candidates = [_made_to_parse(code, program) for code in python or [blocks[0][1]]]
    needed = _needed(program)
    fit = [code for code in candidates if needed & _defined(code)]
    if not fit and (outside := _before_fence(answer, program, needed)):
        return outside
    fit = fit or [code for code in candidates if _parses(program.replace(PLACE, code))]
    if not fit:
        return candidates[0]
    chosen = fit[-1] if needed else fit[0]
    return "\n".join([*_helpers(chosen, candidates, needed), chosen])


def _before_fence(answer: str, program: str, needed: set[str]) -> str | None:
    """The program that stands before the first fence, which then only closes, or shows a use."""
    fence = _FENCE.search(answer)
    code = _without_prose(answer[: fence.start()], program) if fence else ""
    fits = needed & _defined(code) if needed else code.strip() and _parses(program.replace(PLACE, code))
    return code if fits else None


def _helpers(chosen: str, candidates: list[str], needed: set[str]) -> list[str]:
    """The blocks that define what the chosen one lacks, or what these lack in turn.

    Of the blocks behind it only definitions and imports: other statements there are a use of the program.
    """
    lacking = (_used(chosen) | needed) - _defined(chosen) - set(dir(builtins))
    others = [code for code in candidates if code is not chosen and _parses(code)]
    before = candidates.index(chosen)
    helpers: list[str] = []
    while more := [
        code
        for code in others
        if code not in helpers and _defined(code) & lacking and (candidates.index(code) < before or _only_defines(code))
    ]:
        helpers += more
        lacking = set().union(lacking, *map(_used, more)) - set().union(*map(_defined, more)) - set(dir(builtins))
    return [code for code in others if code in helpers]


def _only_defines(code: str) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    tree, _ = _tree(code)
    return tree is not None and all(isinstance(node, kinds) for node in tree.body)


def _blocks(answer: str) -> Iterator[tuple[str, str]]:
    """Language and code of each fenced block, closed or cut off, with the fence's indentation taken away."""
    position = 0
    while opening := _FENCE.search(answer, position):
        mark, indent = opening["fence"], opening["indent"]
        closing = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$", re.MULTILINE)
        end = closing.search(answer, opening.end())
        code = answer[opening.end() : end.start() if end else len(answer)]
        if indent:
            code = re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
        words = opening["info"].split()
        yield (words[0].lower() if words else ""), code
        position = end.end() if end else len(answer)


def _without_prose(answer: str, program: str) -> str:
    """The answer from its first line of code to the last line with which it is a program; as it is if it is none."""
    for text in _cleaned(answer):
        if _parses(program.replace(PLACE, text)):
            return text
        lines = text.split("\n")
        start = next((i for i, line in enumerate(lines) if _STARTS_CODE.match(line)), 0)
        for first in dict.fromkeys((0, start)):
            for end in range(len(lines), first, -1):
                code = "\n".join(lines[first:end])
                versions = (code, textwrap.dedent(code)) if lines[first][:1] in (" ", "\t") else (code,)
                for version in versions:
                    if code.strip() and _parses(program.replace(PLACE, version)):
                        return version
    return answer


def _made_to_parse(code: str, program: str) -> str:
    """The code, cleaned as much as it takes to parse in the program; as it is if nothing helps."""
    return next((text for text in _cleaned(code) if _parses(program.replace(PLACE, text))), code)


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


def without_harm(code: str) -> str:
    """The code without statements outside functions that would keep the tests from running."""
    tree, shift = _tree(code)
    if tree is None:
        return code
    statements = tree.body
    functions = {node.name: node for node in statements if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    harmful = _harmful_functions(functions)
    dropped: list[ast.stmt] = []
    unbound: set[str] = set()
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            continue
        names = {child.id: child.ctx for child in ast.walk(node) if isinstance(child, ast.Name)}
        needs_dropped = any(isinstance(context, ast.Load) and name in unbound for name, context in names.items())
        if needs_dropped or _is_guard(node) or any(_is_harmful(call, harmful) for call in _calls(node)):
            dropped.append(node)
            unbound |= {name for name, context in names.items() if isinstance(context, ast.Store)}
    lines = code.split("\n")
    for node in reversed(dropped):
        first, last = node.lineno - 1 - shift, (node.end_lineno or node.lineno) - shift
        if first >= 0:
            lines[first:last] = ["pass"]
    return "\n".join(lines)


def _tree(code: str) -> tuple[ast.Module | None, int]:
    """The parsed code, and how many lines were put before it: the body of a function needs its head."""
    for head in ("", "def _():\n"):
        try:
            return ast.parse(head + code), head.count("\n")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None, 0


def _parses(code: str) -> bool:
    """True for a program, which the body of a function is not, with its "return" outside of one."""
    try:
        return not _returns(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _returns(node: ast.AST) -> bool:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.expr)
    children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, functions)]
    return any(isinstance(child, ast.Return) or _returns(child) for child in children)


def _is_guard(node: ast.stmt) -> bool:
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
        return False
    sides = [node.test.left, *node.test.comparators]
    names = {side.id for side in sides if isinstance(side, ast.Name)}
    return "__name__" in names and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def _calls(node: ast.AST) -> Iterator[ast.Call | ast.Raise]:
    for child in ast.walk(node):
        if isinstance(child, ast.Call) or (isinstance(child, ast.Raise) and "SystemExit" in ast.dump(child)):
            yield child


def _is_harmful(call: ast.Call | ast.Raise, harmful: Sequence[str] | set[str]) -> bool:
    if isinstance(call, ast.Raise):
        return True
    name = ast.unparse(call.func)
    last = name.split(".")[-1]
    return (
        name == "input"
        or name in harmful
        or name.startswith("sys.stdin")
        or (last in _ENDS and name.split(".")[0] in ("sys", "os", last))
        or name in ("unittest.main", "pytest.main")
    )


def _harmful_functions(functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> set[str]:
    """Functions that read input or end the process, themselves or through others."""
    harmful: set[str] = set()
    while True:
        more = {
            name
            for name, node in functions.items()
            if name not in harmful and any(_is_harmful(call, harmful) for call in _calls(node))
        }
        if not more:
            return harmful
        harmful |= more


def _speaks_of_input(program: str) -> bool:
    return re.search(r"\binput\b|\bstdin\b|__name__|\bSystemExit\b", program) is not None


def _needed(program: str) -> set[str]:
    """The names that a program uses and leaves to the answer."""
    for stand_in in ("pass", "    pass", ""):
        code = program.replace(PLACE, stand_in)
        if _parses(code):
            return _used(code) - _defined(code) - set(dir(builtins))
    return set()


def _used(code: str) -> set[str]:
    tree, _ = _tree(code)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree else set()


def _defined(code: str) -> set[str]:
    """Names bound anywhere in the code."""
    tree, _ = _tree(code)
    names: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names
