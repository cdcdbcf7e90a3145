"""What a strict reader of JSON takes, and values that a careless writer makes something else of."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from monitor.criteria import Criterion
from monitor.events import Entry
from monitor.snapshot import Snapshot
from tests.unit.monitor.observations import EPOCH
from tests.unit.monitor.runs import Run

TEXT = "Ω币🜁 \ud800 \x00\x1b[2J\u2028\r\n\n</script><!-- \\u0022\"'"
"""Half a surrogate pair, control characters, ends of lines and of scripts, what is not ASCII."""
TEXT_READ = TEXT.replace("\ud800", "\\ud800")
VALUES: dict[str, object] = {
    "nan": math.nan,
    "infinite": math.inf,
    "below": -math.inf,
    "none": None,
    "large": 10**40,
    "least": -(2**63),
    "tiny": 5e-324,
    "path": Path("/data/\udcff"),  # a name in Latin-1, as Python reads it
    TEXT: TEXT,
}
VALUES_READ: dict[str, object] = {
    "nan": None,
    "infinite": None,
    "below": None,
    "none": None,
    "large": 10**40,
    "least": -(2**63),
    "tiny": 5e-324,
    "path": "/data/\\udcff",
    TEXT_READ: TEXT_READ,
}


def parsed(data: bytes | str) -> Any:
    """Return what JSON says to a reader as strict as a browser's; fails where that refuses it."""
    encoded = data.encode() if isinstance(data, str) else data
    msgspec.json.decode(encoded)  # valid UTF-8, pairs of surrogates only
    return json.loads(encoded.decode(), parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def nasty_snapshot() -> Snapshot:
    """Return a snapshot with such a value wherever it has one of its kind."""
    run = Run(None).seconds(3)
    found = run.recorder.snapshot(run.now, EPOCH)
    (streamer,) = found.streamers
    stream = replace(streamer.streams[0], symbol=TEXT, unavailable=TEXT, per_second=math.nan)
    assert streamer.report is not None
    report = msgspec.structs.replace(streamer.report, clock_offset_seconds=math.nan, encoder=TEXT)
    criterion = Criterion(
        TEXT, TEXT, math.nan, math.inf, TEXT, "fail", True, 10**40, math.inf, TEXT
    )
    return replace(
        found,
        profile=TEXT,
        elapsed_seconds=math.inf,
        events_per_second=math.nan,
        memory_ceiling_bytes=10**40,
        streamers=(
            replace(
                streamer,
                name=TEXT,
                report=report,
                streams=(stream, *streamer.streams[1:]),
                cpu_cores=math.nan,
                growth_bytes=math.inf,
                unacknowledged_seconds=math.nan,
            ),
        ),
        recent_events=(*found.recent_events, Entry(3.0, EPOCH, TEXT, VALUES, TEXT, 1)),
        event_counts={**found.event_counts, TEXT: 1},
        criteria=(criterion,),
        actions={(TEXT, TEXT): 1},
        proxies={TEXT: TEXT},
    )
