"""What a person types who has nothing but the README: it is there by then."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
BLOCKS = re.findall(r"(?ms)^```sh\n(.*?)^```", (ROOT / "README.md").read_text())
LINES = [line.split(" #")[0].strip() for block in BLOCKS for line in block.splitlines()]
PIN = re.compile(r"(?m)^([\w.-]+)(?:\[[\w, -]+\])?==")


def test_commands_are_files_of_the_checkout_or_of_the_environment_that_is_made() -> None:
    """A machine may have no `python`, and no `pytest` of ours; `python3` makes the environment."""
    assert len(LINES) >= 10
    for line in LINES:
        program = line.split()[0]
        assert program == "python3" or program.startswith((".venv/bin/", "scripts/")), line


def test_tools_are_installed_before_they_are_used() -> None:
    installed = {"python", "pip"}
    for line in LINES:
        for command in line.split("&&"):
            program, *arguments = command.split()
            if program.startswith(".venv/bin/"):
                assert program.removeprefix(".venv/bin/") in installed, line
            if "-r" in arguments:
                pins = (ROOT / arguments[arguments.index("-r") + 1]).read_text()
                installed.update(PIN.findall(pins))
