import logging

import pytest

from streamer.config import KafkaConfig
from streamer.errors import SettingsError
from streamer.sinks.kafka import client as module
from streamer.sinks.kafka.client import (
    LOG_REPEAT_SECONDS,
    PROTECTED,
    RECONNECT_MAX_MS,
    UNSAFE,
    RepeatFilter,
    make_administrator,
    make_consumer,
    make_producer,
    make_small_producer,
)

UNREACHABLE = "127.0.0.1:1"


def refused(**config) -> str:
    with pytest.raises(SettingsError) as raised:
        make_producer(KafkaConfig(bootstrap_servers=UNREACHABLE, **config))
    return str(raised.value)


@pytest.mark.parametrize("key", [*PROTECTED, "error_cb", "on_delivery"])
@pytest.mark.parametrize("allow_unsafe", [False, True])
def test_settings_of_ours_are_refused(key, allow_unsafe):
    said = refused(client={key: 1}, allow_unsafe_client=allow_unsafe)

    assert said.startswith(f"kafka.client.{key} cannot be set: ")


@pytest.mark.parametrize("key", UNSAFE)
def test_settings_that_would_break_the_guarantees_are_refused_unless_forced(key):
    assert "kafka.allow_unsafe_client" in refused(client={key: 1})


@pytest.mark.parametrize(
    "client",
    [
        {"acks": 0},
        {"request.required.acks": 1},
        {"enable.idempotence": False},
        {"enable.idempotence": True, "acks": "all"},
        {"message.timeout.ms": 60_000},
        {"delivery.timeout.ms": 60_000},
        {"enable.gapless.guarantee": False},
        {"retries": 3},
        {"partitioner": "random"},
        {"max.in.flight": 5},
        {"max.in.flight.requests.per.connection": 5},
    ],
)
def test_forced_settings_make_a_producer_and_a_warning(client, caplog):
    with caplog.at_level(logging.WARNING):
        make_producer(
            KafkaConfig(bootstrap_servers=UNREACHABLE, client=client, allow_unsafe_client=True)
        )

    assert all(f"kafka.client.{key} is set: " in caplog.text for key in client)


@pytest.mark.parametrize("client", [{"no.such.key": 1}, {"linger.ms": "soon"}])
def test_settings_that_librdkafka_refuses_are_told(client):
    assert "kafka.client" in refused(client=client)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ({}, RECONNECT_MAX_MS),
        ({"reconnect.backoff.max.ms": 3_000}, 3_000),
        ({"reconnect.backoff.ms": 5_000}, None),
    ],
)
def test_a_broker_that_is_back_is_found_within_a_second_unless_set_otherwise(
    client, expected, monkeypatch
):
    made = []
    for name in ("AdminClient", "Consumer", "Producer"):
        monkeypatch.setattr(module, name, lambda settings, logger: made.append(settings))
    config = KafkaConfig(bootstrap_servers=UNREACHABLE, client=client)
    makers = (make_producer, make_small_producer, make_administrator, make_consumer)

    for make in makers:
        make(config)

    assert [one.get("reconnect.backoff.max.ms") for one in made] == [expected] * len(makers)


@pytest.mark.parametrize("key", ["reconnect.backoff.ms", "reconnect.backoff.max.ms"])
def test_librdkafka_takes_the_times_between_attempts(key):
    make_producer(KafkaConfig(bootstrap_servers=UNREACHABLE, client={key: 5_000}))


def test_a_secret_that_librdkafka_refuses_is_not_repeated():
    client = {"security.protocol": "SASL_SSL", "sasl.mechanism": "X", "sasl.password": "hunter2"}
    assert "hunter2" not in refused(client=client)


def test_a_message_that_repeats_is_logged_once_in_a_while():
    now = [0.0]
    repeat = RepeatFilter(lambda: now[0])

    def record(kind: str) -> logging.LogRecord:
        return logging.LogRecord("x", logging.ERROR, "", 0, "%s [%s] %s", (kind, "p", "t"), None)

    assert [repeat.filter(record(kind)) for kind in ("FAIL", "FAIL", "MAXPOLL", "FAIL")] == [
        True,
        False,
        True,
        False,
    ]
    now[0] = LOG_REPEAT_SECONDS
    late = record("FAIL")
    assert repeat.filter(late)
    assert late.getMessage() == "FAIL [p] t (and 2 more like it)"


def test_what_we_know_of_an_experimental_setting_is_not_said_at_each_start(caplog):
    with caplog.at_level(logging.WARNING):
        make_producer(KafkaConfig(bootstrap_servers=UNREACHABLE)).poll(0.1)

    assert "gapless" not in caplog.text
