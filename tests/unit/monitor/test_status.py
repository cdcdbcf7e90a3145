from __future__ import annotations

from dataclasses import replace

import msgspec

from monitor.status import status_json
from streamer.messages import GroupShards
from tests.strict_json import TEXT_READ, VALUES_READ, nasty_snapshot, parsed


def test_whatever_is_told_a_strict_reader_takes_it() -> None:
    told = parsed(status_json(nasty_snapshot()))
    assert told["recent_events"][-1]["detail"] == VALUES_READ
    assert told["events_per_second"] is None
    assert told["memory_ceiling_bytes"] == 10**40
    assert told["proxies"] == {TEXT_READ: TEXT_READ}
    (streamer,) = told["streamers"]
    assert streamer["streams"][0]["symbol"] == streamer["encoder"] == TEXT_READ
    assert told["criteria"][0]["limit"] is None


def test_a_member_of_a_group_tells_its_shards() -> None:
    shown = nasty_snapshot()
    (streamer,) = shown.streamers
    assert parsed(status_json(shown))["streamers"][0]["group"] is None
    report = msgspec.structs.replace(streamer.report, shards=GroupShards("vigil", 6, (0, 4), 12))
    told = parsed(status_json(replace(shown, streamers=(replace(streamer, report=report),))))
    group = {"id": "vigil", "shards": 6, "recorded": [0, 4], "streams": 12}
    assert told["streamers"][0]["group"] == group
