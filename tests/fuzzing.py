"""How long the fuzz tests run: a bounded number in CI, ten thousand inputs each in the full run."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("VIGIL_FUZZ_EXAMPLES", "500"))
"""Inputs per fuzz test; scripts/test --full asks for 10,000."""

TIMEOUT_SECONDS = 120 + 0.3 * EXAMPLES
"""When a fuzz test counts as hanging: pytest's usual limit, and ten times what an input takes."""

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,  # a busy machine is no finding; hangs are found by pytest's timeout
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Decorator for every fuzz test, over `@given`."""
