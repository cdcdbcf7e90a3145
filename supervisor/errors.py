"""Exit codes and the errors that carry them.

SupervisorError    1  something of ours is broken
└── UsageError     2  the command line or the settings ask for what cannot be
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells the next level. Public API."""

    PASS = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    VERDICT_FAIL = 3
    VERDICT_INCONCLUSIVE = 4
    STARTUP_FAILED = 5
    RESTART_BUDGET_SPENT = 6
    INTERRUPTED = 130  # a second SIGINT skipped the drain
    TERMINATED = 143  # a second SIGTERM skipped the drain


class SupervisorError(Exception):
    """The base of what the command line reports in a sentence instead of a traceback."""

    exit_code = ExitCode.INTERNAL_ERROR


class UsageError(SupervisorError):
    """The command line or the settings ask for what cannot be done."""

    exit_code = ExitCode.USAGE
