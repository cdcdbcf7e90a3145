"""Tools from outside that a test cannot do without."""

from __future__ import annotations

import os
import shutil

import pytest


def required(tool: str, package: str) -> str:
    """Return the path of a tool; skip the test without it, fail where CI should have it."""
    path = shutil.which(tool)
    if path is None:
        reason = f"{tool} is not installed (Debian package {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
