"""How long the fuzz tests run: a bounded number in CI, ten thousand inputs each in the full run."""

import os

from hypothesis import HealthCheck, settings

USUAL_EXAMPLES = 500
EXAMPLES = int(os.environ.get("VIGIL_FUZZ_EXAMPLES", USUAL_EXAMPLES))
"""Inputs per fuzz test; scripts/test --full asks for 10,000, and for others each time. Without that
they are the same ones each time, so that a commit is refused for what it changes."""

TIMEOUT_SECONDS = 120 + 0.3 * EXAMPLES
"""When a fuzz test counts as hanging: pytest's usual limit, and ten times what an input takes."""

fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= USUAL_EXAMPLES,
    deadline=None,  # a busy machine is no finding; hangs are found by pytest's timeout
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Decorator for every fuzz test, over `@given`."""
