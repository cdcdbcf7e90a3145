"""The profile on disk: replaced as a whole or not at all, so that a crash leaves the last one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class CheckpointError(RuntimeError):
    """A profile cannot be written or read: says which file and why."""


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document as JSON with mode 0600, atomically and durably. Raises CheckpointError."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes it 0600, in the same directory, since a rename works within one only.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, allow_nan=False, separators=(",", ":"))
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
        _sync_directory(path.parent)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"the profile cannot be written to {path}: {error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Return a saved document. Raises CheckpointError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable profile: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is not a profile: a JSON object is wanted")
    return document


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
