"""`scripts/drill`: plays a fault for real, so that people can practise what a runbook says.

Everything runs on this machine and on loopback: a simulated exchange, a Vigil of its own, a
Prometheus with the alert rules, whose time runs 60 times faster. A drill passes when its alerts
fire, its cure works and the alerts are over.
"""

from __future__ import annotations

import argparse
import sys

from tests.drill_faults import Place
from tests.drill_rig import DrillError, Rig
from tests.drills import DRILLS, play


def main(arguments: list[str] | None = None) -> int:
    """Play what is asked for; return 0 when it passed, 1 when not, 2 for a wrong name."""
    parser = argparse.ArgumentParser(
        prog="scripts/drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=sorted(DRILLS), metavar="NAME")
    parser.add_argument("--list", action="store_true", help="tell every drill and its alerts")
    parser.add_argument(
        "--practise", action="store_true", help="leave the cure to you, and wait until it works"
    )
    options = parser.parse_args(arguments)
    if options.list:
        for name, drill in DRILLS.items():
            print(f"{name:<16} {drill.about} Raises {', '.join(drill.alerts)}.")
        return 0
    if options.name is None:
        parser.error("a name is expected; --list tells them")
    try:
        play(
            options.name, lambda text: print(text, flush=True), _wait if options.practise else None
        )
    except DrillError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _wait(rig: Rig, place: Place) -> None:
    print(f"Your turn: `vigil` is here {' '.join(('python -m supervisor', *rig.runtime_option))}")
    input("Press Enter when it is mended. ")


if __name__ == "__main__":
    sys.exit(main())
