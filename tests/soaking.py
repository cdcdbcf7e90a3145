"""A soak as a user runs it: `python -m supervisor soak`, its exit code and its profile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

LINES_KEPT = 30  # of what a soak says on stderr: a sentence, or a traceback


@dataclass(frozen=True)
class Soak:
    """What a soak left."""

    exit_code: int
    profile: dict[str, Any]
    said: str  # its last lines on stderr

    @property
    def criteria(self) -> dict[str, dict[str, Any]]:
        """The criteria by name."""
        return {criterion["name"]: criterion for criterion in self.profile["criteria"]}


def run_soak(profile: str, output: Path, *arguments: str, settings: Sequence[str] = ()) -> Soak:
    """Run a soak to its end; what it shows goes where pytest's own output goes.

    Without an exchange in `settings`, the environment (`VIGIL_EXCHANGE__WEBSOCKET_URL` and so on)
    says which one; without that, it is the real one. Raises AssertionError, with the exit code and
    the last lines of stderr, when there is no profile: the settings were refused, for example.
    """
    command = [sys.executable, "-m", "supervisor", *settings, "soak", "--profile", profile]
    command += ["--output", str(output), *arguments]
    output.unlink(missing_ok=True)  # an old one must not speak for this run
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = _passed_on(process.stderr)
    if not output.exists():
        raise AssertionError(
            f"the soak ended with {process.returncode}, without a profile:\n{said}"
        )
    return Soak(process.returncode, json.loads(output.read_text()), said)


def _passed_on(stderr: IO[bytes]) -> str:
    """Show each line at once, as if it had not come through here; return the last ones."""
    last: deque[str] = deque(maxlen=LINES_KEPT)
    for line in stderr:
        last.append(line.decode(errors="replace"))
        sys.stderr.write(last[-1])
        sys.stderr.flush()
    return "".join(last)


def assert_passed(soak: Soak) -> None:
    """Fail with every criterion that did not pass."""
    told = [
        f"{criterion['name']}: {criterion['outcome']} ({criterion['expression']}; observed "
        f"{criterion['observed']}, limit {criterion['limit']}) {criterion['reason']}"
        for criterion in soak.profile["criteria"]
        if criterion["required"] and criterion["outcome"] != "pass"
    ]
    assert soak.exit_code == 0, f"exit code {soak.exit_code}: {told}\n{soak.said}"
    assert soak.profile["verdict"] == "pass", told
    assert not told


def assert_complete(profile: dict[str, Any]) -> None:
    """Fail where a profile lacks what its readers rely on."""
    metadata = profile["test_metadata"]
    for key in (
        "test_duration_hours",
        "actual_duration_hours",
        "start_time",
        "end_time",
        "symbols",
        "sample_interval_seconds",
        "total_samples",
    ):
        assert key in metadata, key
    for key in (
        "initial_rss_mb",
        "final_rss_mb",
        "memory_growth_mb",
        "total_messages",
        "avg_message_rate",
    ):
        assert key in profile["summary_statistics"], key
    samples = profile["memory_samples"]
    assert metadata["total_samples"] == len(samples) > 0
    for sample in samples:
        assert sample["rss_mb"] > 0, "a dead process is no sample"
        assert {"timestamp", "elapsed_hours", "vms_mb", "messages_received"} <= sample.keys()
    assert profile["verdict"] in ("pass", "fail", "inconclusive")
    assert profile["streamers"][0]["generations"]
    assert profile["environment"]["python"]
