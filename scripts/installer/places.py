"""Where everything is on a machine that has Vigil installed."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
PROGRAM = Path("/opt/vigil")  # a link to the release that is used
RELEASES = Path("/opt/vigil-releases")
PREVIOUS = RELEASES / "previous"  # a link to the one before it
ACCELERATED = RELEASES / "accelerated"  # is there while releases get the compiled encoder
COMMAND = Path("/usr/local/bin/vigil")
SETTINGS = Path("/etc/vigil")
STATE = Path("/var/lib")
UNITS = Path("/etc/systemd/system")
UNIT_FILES = ("vigil.service", "vigil@.service")  # the same file under two names
USER = "vigil"
