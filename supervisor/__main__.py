"""`python -m supervisor`, which is `vigil`.

Stays light on purpose: multiprocess imports this module again in every child, and what it imports
each streamer would carry. A command's module is imported once the command is known.
"""

from __future__ import annotations

import signal
import sys

HELD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What waits from the first line on: imports take half a second, and a service handles these."""


def main() -> int:
    """Run the command line and return the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    from streamer.output import make_lenient

    make_lenient()
    from supervisor.command_line import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
