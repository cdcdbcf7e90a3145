"""`run`: the service. Streams until stopped; restarts within a budget."""

from __future__ import annotations

import argparse

from supervisor.assembly import carry_out
from supervisor.run_spec import RunSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: what `run` does is in the settings."""


def run(options: argparse.Namespace) -> int:
    """Serve until a signal or a spent restart budget; return the exit code."""
    return carry_out(RunSpec("run"), options.config, options.assignments)
