"""What all unit tests share."""

from __future__ import annotations

import hypothesis

# How long an example takes says more about the machine's other work than about the code.
# The same examples each time, so that a commit is refused for what it changes; others are tried by
# the fuzz tests of the full run.
hypothesis.settings.register_profile(
    "any-machine",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=True,
)
hypothesis.settings.load_profile("any-machine")
