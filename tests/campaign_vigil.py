"""`vigil` for the campaign: `python -m tests.campaign_vigil HOOK [arguments of vigil]`.

HOOK is none, or what is disabled in the child (`tests.campaign_hooks`); production code has none.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Plant the hook and be `vigil`."""
    import supervisor.child_setup
    from supervisor.command_line import run
    from tests import campaign_hooks

    if sys.argv[1] != "none":
        supervisor.child_setup.stream = getattr(campaign_hooks, sys.argv[1])
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
