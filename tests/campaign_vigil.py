"""`vigil` for the campaign: `python -m tests.campaign_vigil HOOK [arguments of vigil]`.

HOOK is none, or what is disabled in the child (`tests.campaign_hooks`); production code has none.
With none, the child leaves a trace of what goes into Kafka (`tests.campaign_trace`).
"""

from __future__ import annotations

import sys


def main() -> int:
    """Plant the hook and be `vigil`."""
    import supervisor.child_setup
    from supervisor.command_line import run
    from tests import campaign_hooks, campaign_trace

    supervisor.child_setup.stream = (
        campaign_trace.with_trace if sys.argv[1] == "none" else getattr(campaign_hooks, sys.argv[1])
    )
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
