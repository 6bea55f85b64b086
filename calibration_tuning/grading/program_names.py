"""The names that a program uses, binds and leaves to an answer."""

from __future__ import annotations

import ast
import builtins

PLACE = "<answer>"


def parsed(code: str) -> tuple[ast.Module | None, int]:
    """The parsed code, and how many lines were put before it: the body of a function needs its head."""
    for head in ("", "def _():\n"):
        try:
            return ast.parse(head + code), head.count("\n")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None, 0


def is_program(code: str) -> bool:
    """True for a program, which the body of a function is not, with its "return" outside of one."""
    try:
        return not _returns(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _returns(node: ast.AST) -> bool:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.expr)
    children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, functions)]
    return any(isinstance(child, ast.Return) or _returns(child) for child in children)


def around_answer(program: str) -> ast.Module:
    """The program without the answer; empty if it does not parse."""
    for stand_in in ("pass", "    pass", "        pass", ""):
        code = program.replace(PLACE, stand_in)
        if is_program(code):
            return ast.parse(code)
    return ast.Module([], [])


def needed_names(program: str) -> set[str]:
    """The names that a program leaves to the answer, and the functions that it begins before it and uses behind it.

    The latter are to be completed or defined again, as those whose head and docstring are the prompt.
    """
    around, behind = ast.unparse(around_answer(program)), program.rpartition(PLACE)[2]
    begun = defined_names(around, variables=False) - bound_names(behind)
    return (used_names(around) - bound_names(around) - set(dir(builtins))) | (used_names(behind) & begun)


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def used_names(code: str) -> set[str]:
    tree, _ = parsed(code)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree else set()


def defined_names(code: str, variables: bool = True) -> set[str]:
    """The functions, classes and variables that the code defines outside functions; no imports or loop variables."""
    tree, _ = parsed(code)
    names: set[str] = set()
    nodes = list(tree.body) if tree else []
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign() | ast.AnnAssign() if variables:
                names |= {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and _is_stored(child)}
            case ast.If() | ast.Try() | ast.With():
                nodes += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return names


def bound_names(code: str) -> set[str]:
    """Names bound anywhere in the code."""
    tree, _ = parsed(code)
    names: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and _is_stored(node):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names
