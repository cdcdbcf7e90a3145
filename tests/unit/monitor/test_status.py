from __future__ import annotations

from monitor.status import status_json
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
