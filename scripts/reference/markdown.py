"""Small pieces of Markdown from docstrings."""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterable
from typing import Any


def first_line(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return plain((inspect.getdoc(thing) or "").split("\n\n")[0])


def plain(text: str) -> str:
    """One line, with Markdown's own quotes."""
    return " ".join(text.replace("``", "`").split())


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; a bar inside a cell is escaped."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    lines += [f"| {' | '.join(plain(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def remark(owner: type, name: str) -> str:
    """The docstring that stands under an attribute in the source of its class; empty if there is none."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for node, below in itertools.pairwise(statements):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        named = isinstance(target, ast.Name) and target.id == name
        if named and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            return plain(str(below.value.value))
    return ""
