"""`status`: how it goes, as the report in the log tells it; `--json`: as `/status` does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from supervisor.asking import Asking
from supervisor.errors import ExitCode
from supervisor.settings import load

_ASKING = Asking("status")
add_arguments = _ASKING.add_arguments


def run(options: argparse.Namespace) -> int:
    """Ask and print. Raises UsageError where nobody answers."""
    answer = _ASKING.ask(load(options.config, options.assignments), options)
    text = answer["detail"]
    if options.json:
        text = Path(answer["result"]["file"]).read_text(encoding="utf-8")
    sys.stdout.write(f"{text}\n")
    return ExitCode.PASS
