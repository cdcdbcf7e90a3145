"""`python -m supervisor`, which is `vigil`.

Stays light on purpose: multiprocess imports this module again in every child, and what it imports
each streamer would carry. A command's module is imported once the command is known.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return the exit code."""
    from supervisor.command_line import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
