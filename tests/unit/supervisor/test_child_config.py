from pathlib import Path

from streamer.config import ShardConfig
from streamer.secret import Secret
from streamer.telemetry_keys import TelemetryKeys
from supervisor.child_config import ChildConfigFactory
from supervisor.settings import Settings


def keys_of(streamer: str, generation: int) -> TelemetryKeys:
    return TelemetryKeys(public=f"{streamer}.{generation}", secret=Secret("s"), server="watcher")


def test_each_process_is_told_what_is_wanted_when_it_is_launched() -> None:
    child_configs = ChildConfigFactory(
        Settings(), ShardConfig(), "ipc:///run/telemetry", keys_of, Path("/run/recent.log")
    )
    [first] = child_configs(1)
    assert first.exchange == Settings().exchange
    assert (first.shard, first.sink, first.kafka) == (
        ShardConfig(),
        Settings().sink,
        Settings().kafka,
    )
    assert (first.name, first.generation, first.supervised) == ("streamer-1", 1, True)
    assert first.telemetry.endpoint == "ipc:///run/telemetry"
    assert first.stop_within == 10.0
    assert first.term_within == 4.0, "before SIGABRT, with time to put on disk what is left"
    assert first.recent_log == Path("/run/recent.log")
    assert first.telemetry_keys == keys_of("streamer-1", 1)
    child_configs.want(["aggTrade"], ["XRPUSDT"])
    [second] = child_configs(2)
    assert (second.exchange.streams, second.exchange.symbols) == (("aggTrade",), ("XRPUSDT",))
    assert second.telemetry_keys == keys_of("streamer-1", 2), "each launch has keys of its own"


def test_each_of_several_has_a_shard_a_directory_and_a_name_for_brokers() -> None:
    settings = Settings.model_validate(
        {"kafka": {"client": {"client.id": "desk"}}, "sink": {"directory": "records"}}
    )
    made = [
        ChildConfigFactory(settings, ShardConfig(index=index, count=2), "ipc:///run/t", keys_of)(1)
        for index in range(2)
    ]
    assert [
        (one.name, one.shard.index, one.sink.directory, one.kafka.client["client.id"])
        for [one] in made
    ] == [
        ("streamer-1", 0, Path("records/streamer-1"), "desk-streamer-1"),
        ("streamer-2", 1, Path("records/streamer-2"), "desk-streamer-2"),
    ]
