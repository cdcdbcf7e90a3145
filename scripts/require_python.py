"""Ends a script with a sentence where its Python is too old: import it before the rest of ours.

Every Python from 3.6 on can read this file, and the scripts up to this import.
"""

import shutil
import sys

LEAST = (3, 11)
NEWEST_MINOR = 20  # as far as names are tried

if sys.version_info < LEAST:
    names = (f"python3.{minor}" for minor in range(LEAST[1], NEWEST_MINOR + 1))
    newer = next(filter(shutil.which, names), None)
    sys.exit(
        f"Python 3.11 or newer is needed; this is {sys.version.split()[0]} ({sys.executable})."
        + (f" There is a newer one: {newer} {' '.join(sys.argv)}" if newer else "")
    )
