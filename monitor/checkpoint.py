"""The profile on disk: replaced as a whole or not at all, so that a crash leaves the last one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from errno import EISDIR
from math import isfinite
from pathlib import Path
from typing import Any

LARGEST_BYTES = 256 << 20
"""A day of 4,500 streams has under 5 MB; what is read takes several times its size in memory."""


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
            # As a whole, in C: `json.dump` would hold the interpreter twenty times as long.
            file.write(json.dumps(document, allow_nan=False, separators=(",", ":")))
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
        _sync_directory(path.parent)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"the profile cannot be written to {path}: {_reason(error)}"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Look whether a profile can be written there, before there is one. Raises CheckpointError."""
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass  # it is written beside it first, and renamed
    except OSError as error:
        raise CheckpointError(
            f"the profile cannot be written to {path}: {_reason(error)}"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Return a saved document. Raises CheckpointError."""
    try:
        document = json.loads(_text(path), parse_float=_finite, parse_constant=_finite)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"{path} is not a readable profile: {_reason(error)}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is not a profile: expected a JSON object")
    return document


def _text(path: Path) -> str:
    """Return what a file holds. Raises OSError and ValueError."""
    if (size := path.stat().st_size) > LARGEST_BYTES:
        raise ValueError(f"{size} bytes are more than {LARGEST_BYTES}, the most that is read")
    return path.read_text(encoding="utf-8")


def _reason(error: Exception) -> object:
    """Return why, without the name of the file, which the sentence has, or of a temporary one."""
    return error.strerror if isinstance(error, OSError) and error.strerror else error


def _finite(text: str) -> float:
    """Return a number of the document. Raises ValueError for what no measurement is."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
