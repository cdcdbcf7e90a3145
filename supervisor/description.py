"""What a run says of itself: in its profile, and in the bundles of a diagnosis."""

from __future__ import annotations

import os
import platform
import sys
import time as clocks
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from monitor.recorder import Recorder
from monitor.status import as_status
from streamer.config import URL_NAMES
from streamer.secret import SecretUrl
from streamer.settings import masked
from streamer.strict_json import encode_readable
from supervisor.settings import Settings

_REPORTED_PACKAGES = ("vigil", "multiprocess", "psutil", "pyzmq", "confluent-kafka", "fastavro")


def summary_of(settings: Settings) -> dict[str, Any]:
    """Return what the profile keeps of the settings."""
    return {
        "symbols": list(settings.exchange.symbols),
        "streams": list(settings.exchange.streams),
        "connection_max_age_seconds": settings.connection.max_age,
        "stale_after_seconds": settings.connection.stale_after,
        "proxies": {name: _shown(settings.exchange.proxy_of(name)) for name in URL_NAMES},
        "effective": masked(settings),
    }


def environment() -> dict[str, Any]:
    """Return the machine, Python, and the packages that matter."""
    versions: dict[str, str | None] = {}
    for package in _REPORTED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was never installed
            versions[package] = None
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": versions,
    }


def known_of(settings: Settings, recorder: Recorder) -> dict[str, str]:
    """Return what a diagnosis begins with, by file name."""
    status = as_status(recorder.snapshot(clocks.monotonic(), clocks.time()))
    return {
        "settings.json": encode_readable(masked(settings)).decode(),
        "status.json": encode_readable(status).decode(),
        "environment.json": encode_readable(environment()).decode(),
    }


def _shown(proxy: SecretUrl | None) -> str | None:
    return None if proxy is None else str(proxy)
