"""A Dockerfile's instructions, and its steps done without an engine. For tests.

Knows what ours needs: comments, continued lines, ARG in FROM, and the exec form as JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals, and the rest of its lines."""

    name: str
    value: str

    @property
    def command(self) -> list[str]:
        """The exec form's words. Raises ValueError for the shell form, which forwards no signal."""
        words: list[str] = json.loads(self.value[self.value.index("[") :])
        return words


def stages(path: Path) -> list[list[Instruction]]:
    """Return the instructions of each stage, FROM first; arguments of FROM are put in."""
    arguments: dict[str, str] = {}
    found: list[list[Instruction]] = []
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, value = line.strip().partition(" ")
        if not name:
            continue
        if name == "ARG" and not found:
            argument, _, default = value.partition("=")
            arguments[argument] = default
        elif name == "FROM":
            for argument, default in arguments.items():
                value = value.replace(f"${{{argument}}}", default)
            found.append([Instruction(name, value)])
        else:
            found[-1].append(Instruction(name, " ".join(value.split())))
    return found


def build(stage: list[Instruction], context: Path, root: Path, places: dict[str, Path]) -> None:
    """Do the COPY and RUN of a stage in `root`, its working directory.

    `places` say where paths of the image are here.
    """
    for instruction in stage:
        if instruction.name == "COPY":
            *sources, target = instruction.value.split()
            for source in sources:
                if (context / source).is_dir():
                    shutil.copytree(context / source, root / target)
                else:
                    shutil.copy(context / source, root / target)
        elif instruction.name == "RUN":
            command = instruction.value
            for there, here in places.items():
                command = command.replace(there, str(here))
            subprocess.run(["/bin/sh", "-ec", command], cwd=root, check=True, timeout=600)
