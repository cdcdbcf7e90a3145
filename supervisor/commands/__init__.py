"""The commands, one module each, imported when it is chosen.

A module has `add_arguments(parser)` and `run(options) -> int`; `options.config` and
`options.assignments` are always there.
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "run": "stream until stopped, restarting within a budget (the default)",
    "soak": "stream for a time, then give a verdict",
    "status": "how the running supervisor and its streamers do",
    "rotate": "have connections replaced by new ones, without a hole",
    "restart": "have streamers drained and launched again",
    "reload": "have the running supervisor read its settings again: symbols, streams, rules, …",
    "collect": "have streamers collect garbage and give freed memory back",
    "diagnose": "keep stacks, memory maps, state and settings in an archive",
    "drain": "stop, wait for the end, and say whether all was delivered",
    "stop": "end everything as SIGTERM does: streamers are drained first",
    "judge": "give the verdict again, from a saved profile",
    "history": "many saved profiles side by side: a table, and a page with charts",
    "config": "show the effective settings, secrets masked",
}

SERVING: Final = frozenset({"run", "soak"})
"""Commands that are the supervisor itself; the others ask one, or read what it left."""
