"""Statements that would keep a program's tests from running: guards, prompts for input, early ends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from calibration_tuning.grading.program_names import around_answer, parsed

_ENDS = frozenset({"exit", "quit", "_exit", "abort"})


def without_harm(code: str) -> str:
    """The code without statements outside functions that would keep the tests from running."""
    tree, shift = parsed(code)
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


def speaks_of_input(program: str) -> bool:
    """True if the code around the answer names input, stdin, __name__ or SystemExit, as a name or "sys.stdin"."""
    named: set[str] = set()
    for node in ast.walk(around_answer(program)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.keyword(arg=str(name)):
                named.add(name)
            case ast.Constant(value=str(text)) if not re.search(r"\s", text):
                named.add(text.split(".")[-1])
    return not named.isdisjoint({"input", "stdin", "__name__", "__main__", "SystemExit"})


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
