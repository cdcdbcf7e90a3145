from pathlib import Path

from supervisor.child_config import ChildConfigFactory
from supervisor.settings import Settings


def test_each_process_is_told_what_is_wanted_when_it_is_launched() -> None:
    child_configs = ChildConfigFactory(
        Settings(), "streamer-1", "ipc:///run/telemetry", Path("/run/recent.log")
    )
    [first] = child_configs(1)
    assert first.exchange == Settings().exchange
    assert (first.name, first.generation, first.supervised) == ("streamer-1", 1, True)
    assert first.telemetry.endpoint == "ipc:///run/telemetry"
    assert first.recent_log == Path("/run/recent.log")
    child_configs.want(["aggTrade"], ["XRPUSDT"])
    [second] = child_configs(2)
    assert (second.exchange.streams, second.exchange.symbols) == (("aggTrade",), ("XRPUSDT",))
