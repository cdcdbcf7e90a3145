"""The comments of a dataclass's fields: above a field, or behind it on its line."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize


def field_comments(section: type) -> dict[str, str]:
    """Return what the source says of each field of a class, as one line; nothing: empty."""
    source = textwrap.dedent(inspect.getsource(section))
    lines = source.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - for mypy: a class was asked for
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            above: list[str] = []
            line = statement.lineno - 1
            while line in comments and lines[line - 1].lstrip().startswith("#"):
                above.insert(0, comments[line])
                line -= 1
            behind = [
                comments[number]
                for number in range(statement.lineno, (statement.end_lineno or 0) + 1)
                if number in comments
            ]
            found[statement.target.id] = " ".join(above + behind)
    return found
