"""The programs of docs/consumers.md, run as they stand on the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import duckdb
import duckdb_extension_avro

from tests.streaming import ROOT

PAGE = (ROOT / "docs" / "consumers.md").read_text()
PROGRAMS = {
    name: (language, code)
    for name, language, code in re.findall(
        r"<!-- program: (\w+) -->\n```(\w+)\n(.*?)```\n", PAGE, re.DOTALL
    )
}
"""Language and text of each by its name."""


def run(name: str, *arguments: object) -> str:
    """Run a program in Python, and return what it prints."""
    language, code = PROGRAMS[name]
    assert language == "python"
    output = StringIO()
    with patch.object(sys, "argv", [name, *map(str, arguments)]), redirect_stdout(output):
        exec(compile(code, f"docs/consumers.md: {name}", "exec"), {"__name__": "__main__"})
    return output.getvalue()


def run_in_shell(name: str, **variables: str) -> str:
    """Run a program of the shell with these variables, and return what it prints."""
    language, code = PROGRAMS[name]
    assert language == "sh"
    command = ["sh", "-euc", code]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def with_avro() -> duckdb.DuckDBPyConnection:
    """Return a connection that reads Avro.

    The extension comes from the package index, since tests do not download. It is the one that
    DuckDB's makers have signed: nothing else is loaded.
    """
    extensions = Path(str(duckdb_extension_avro.__file__)).parent / "extensions"
    connection = duckdb.connect()
    connection.execute(f"LOAD '{next(extensions.rglob('*.duckdb_extension'))}'")
    return connection


def query(name: str) -> list[tuple[object, ...]]:
    """Run a program in SQL where the process is, and return its rows."""
    language, code = PROGRAMS[name]
    assert language == "sql"
    with with_avro() as connection:
        rows: list[tuple[object, ...]] = connection.execute(code).fetchall()
    return rows
