from pathlib import Path

from streamer.secret import Secret
from streamer.telemetry_keys import TelemetryKeys
from supervisor.child_config import ChildConfigFactory
from supervisor.settings import Settings


def keys_of(streamer: str, generation: int) -> TelemetryKeys:
    return TelemetryKeys(public=f"{streamer}.{generation}", secret=Secret("s"), server="watcher")


def test_each_process_is_told_what_is_wanted_when_it_is_launched() -> None:
    child_configs = ChildConfigFactory(
        Settings(), "streamer-1", "ipc:///run/telemetry", keys_of, Path("/run/recent.log")
    )
    [first] = child_configs(1)
    assert first.exchange == Settings().exchange
    assert (first.name, first.generation, first.supervised) == ("streamer-1", 1, True)
    assert first.telemetry.endpoint == "ipc:///run/telemetry"
    assert first.recent_log == Path("/run/recent.log")
    assert first.telemetry_keys == keys_of("streamer-1", 1)
    child_configs.want(["aggTrade"], ["XRPUSDT"])
    [second] = child_configs(2)
    assert (second.exchange.streams, second.exchange.symbols) == (("aggTrade",), ("XRPUSDT",))
    assert second.telemetry_keys == keys_of("streamer-1", 2), "each launch has keys of its own"
