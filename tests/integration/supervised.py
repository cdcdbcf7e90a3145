"""`vigil` with a scripted streamer: `python supervised.py TARGET [arguments of vigil]`.

Multiprocess imports this module again in the child, so everything heavy stays inside.
"""

from __future__ import annotations

import sys


def main() -> int:
    import supervisor.bootstrap
    from tests.integration import scripted_streamer

    supervisor.bootstrap.stream = getattr(scripted_streamer, sys.argv[1])
    from supervisor.command_line import run

    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
