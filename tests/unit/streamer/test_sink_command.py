"""What the commands beside the streamer share."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from streamer.config import KafkaConfig
from streamer.errors import SettingsError
from streamer.settings import StreamerSettings, load
from streamer.sink_command import (
    NothingToRead,
    SinkParser,
    asking_kafka,
    list_argument,
    reads_kafka,
    run,
    symbols_argument,
)


def parse(*arguments):
    parser = SinkParser("look", "Looks.", "That is all.")
    parser.add_directory()
    parser.add_kafka()
    parser.add_settings()
    return parser.parse(arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        ([], "kafka", True),
        ([], "files", False),
        (["--kafka"], "files", True),
        (["records"], "kafka", False),
    ],
)
def test_which_sink_is_read(arguments, kind, expected):
    settings = load(StreamerSettings, None, [f"sink.kind={kind}"], dials=False)
    assert reads_kafka(parse(*arguments), settings) is expected


def test_a_directory_or_topics(capsys):
    assert parse("records").directory == Path("records")
    with pytest.raises(SystemExit, match="2"):
        parse("records", "--kafka")
    assert "a directory or --kafka: not both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(SettingsError("sink.kind: what?"), 2), (NothingToRead("nothing: here"), 4)],
)
def test_what_ends_a_command_is_said_and_has_a_code(error, code, capsys):
    def command(arguments):
        assert arguments == ["-n", "1"]
        raise error

    assert run(command, ["-n", "1"]) == code
    assert capsys.readouterr().err == f"{error}\n"
    assert run(len, ["-n", "1", "x"]) == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KafkaException(KafkaError(KafkaError._TIMED_OUT, "nobody answers")), "nobody answers"),
        (LookupError("there is none"), "there is none; kafka.topics names them"),
    ],
)
def test_why_kafka_has_nothing(error, reason):
    config = KafkaConfig(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(NothingToRead) as nothing, asking_kafka(config):
        raise error
    assert str(nothing.value) == f"Kafka at 127.0.0.1:1: {reason}"


def test_lists():
    assert list_argument(" trade,, gap ") == ("trade", "gap")
    assert symbols_argument("btcusdt,") == ("BTCUSDT",)
