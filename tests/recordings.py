"""Frames recorded from real exchanges: read where they are, never copied."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.streaming import ROOT

VARIABLE = "VIGIL_RECORDINGS"


def recording(name: str) -> Path:
    """Return the file of a recording; skip the test where the folder is absent, in CI too."""
    folder = Path(os.environ.get(VARIABLE, ROOT.parent / "shared" / "recordings"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; {VARIABLE} may name another folder")
    return folder / name


def frames(path: Path) -> list[dict[str, Any]]:
    """Return the frames of a recording: lines of `receive time: frame`, after one of the URL."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [json.loads(line.partition(": ")[2]) for line in lines if line]
