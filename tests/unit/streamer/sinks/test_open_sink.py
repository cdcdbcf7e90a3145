from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from streamer.config import ExchangeConfig, KafkaConfig, SinkConfig, StreamerConfig
from streamer.data.kinds.book_ticker import BookTicker
from streamer.routes import Routes
from streamer.sinks import open_sink, unrecordable
from tests.kafka_mock import MockKafka
from tests.unit.streamer.payloads import NOW_US

TOPICS = KafkaConfig().topics.values()
ROUTES = Routes(("bookTicker",), ("BTCUSDT",))


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    others = KafkaConfig().dead_letter_topic, KafkaConfig().positions_topic
    with MockKafka(*TOPICS, *others) as address:
        yield address


@pytest.mark.parametrize("kind", ["files", "kafka", "null"])
def test_each_kind_takes_an_event(tmp_path, brokers, kind):
    config = StreamerConfig(
        sink=SinkConfig(kind=kind, directory=tmp_path),
        kafka=KafkaConfig(bootstrap_servers=brokers),
    )
    sink = open_sink(config, ROUTES)
    (route,) = ROUTES

    assert sink.accepting
    sink.put(route, BookTicker(1, "BTCUSDT", "1", "2", "3", "4"), NOW_US)
    sink.poll(0.0)

    counts = sink.counts()
    assert (counts.kind, counts.accepted_total) == (kind, 1)
    if kind == "null":
        assert (counts.acknowledged_total, sink.flush(0.0), sink.take_errors()) == (1, 0, [])
        assert counts.bytes_total > 0
    sink.close()


@pytest.mark.parametrize(
    ("kind", "absent"),
    [
        *[("files", "confluent_kafka"), ("kafka", "streamer.sinks.files"), ("null", "fastavro")],
        ("kafka", "http.client"),  # no registry is asked for
    ],
)
def test_only_the_wanted_kind_is_imported(tmp_path, brokers, kind, absent):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from streamer.config import KafkaConfig, SinkConfig, StreamerConfig\n"
        "from streamer.routes import Routes\n"
        "from streamer.sinks import open_sink\n"
        "config = StreamerConfig(sink=SinkConfig(kind=sys.argv[1], directory=Path(sys.argv[2])),\n"
        "    kafka=KafkaConfig(bootstrap_servers=sys.argv[4]))\n"
        "open_sink(config, Routes(('trade',), ('BTCUSDT',)))\n"
        "wanted = 'streamer.sinks.' + sys.argv[1]\n"
        "others = {'streamer.sinks.' + k for k in ('files', 'kafka', 'null')} - {wanted}\n"
        "assert wanted in sys.modules\n"
        "assert not others & sys.modules.keys()\n"
        "assert sys.argv[3] not in sys.modules, sys.argv[3]\n"
    )
    command = [sys.executable, "-c", script, kind, str(tmp_path), absent, brokers]
    subprocess.run(command, check=True, timeout=120)


@pytest.mark.parametrize(("kind", "found"), [("files", set()), ("kafka", {"币安人生USDT"})])
def test_which_symbols_the_sink_can_never_take(tmp_path, kind, found):
    config = StreamerConfig(
        exchange=ExchangeConfig(streams=("trade",)),
        sink=SinkConfig(kind=kind, directory=tmp_path),
        kafka=KafkaConfig(topics={"trade": "trades.{symbol}"}),
    )
    assert unrecordable(config, ("BTCUSDT", "币安人生USDT")) == found
