"""The commands, one module each, imported when it is chosen.

A module has `add_arguments(parser)` and `run(options) -> int`; `options.config` and
`options.assignments` are always there.
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "run": "stream until stopped, restarting within a budget (the default)",
    "soak": "stream for a time, then give a verdict",
    "reload": "have the running supervisor read its settings again: symbols, streams, rules, …",
    "judge": "give the verdict again, from a saved profile",
    "config": "show the effective settings, secrets masked",
}
