import pytest

from streamer.secret import Secret, SecretUrl
from streamer.setting_types import DEPTH_MAX, KeyType, hidden_keys, key_type, seal, unsound
from streamer.settings import StreamerSettings


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("exchange.websocket_url", KeyType("text")),
        ("exchange.ca_file", KeyType("text")),
        ("exchange.symbols", KeyType("texts")),
        ("exchange.time_unit", KeyType("text")),
        ("exchange.verify_tls", KeyType("value")),
        ("exchange.proxy", KeyType("text", SecretUrl)),
        ("connection.max_age", KeyType("value")),
        ("kafka.partitions", KeyType("value")),
        ("kafka.topics", KeyType("table")),
        ("kafka.topics.trade", KeyType("text")),
        ("kafka.client", KeyType("table")),
        ("kafka.client.linger.ms", KeyType("text")),
        ("kafka.client.sasl.password", KeyType("text", Secret)),
        ("kafka.client.no.such.key", KeyType("text", Secret)),
        ("kafka.schema_registry_password", KeyType("text", Secret)),
        ("kafka.nonsense", KeyType("value")),
        ("nonsense.key", KeyType("value")),
        ("kafka", KeyType("value")),
    ],
)
def test_what_a_key_takes_is_told_by_its_field(key, expected):
    assert key_type(StreamerSettings, key.split(".", 2)) == expected


def test_secrets_are_sealed_and_nothing_else():
    client = {"sasl": {"password": "hunter2"}, "linger.ms": 5, "unknown_key": "x"}
    values = {"kafka": {"client": client, "topics": {"trade": "t"}}, "rules": []}
    assert seal(StreamerSettings, values) == []
    assert values["kafka"] == {
        "client": {
            "sasl.password": Secret("hunter2"),
            "linger.ms": 5,
            "unknown.key": Secret("x"),
        },
        "topics": {"trade": "t"},
    }
    assert list(hidden_keys(values)) == [
        ("kafka", "client", "sasl.password"),
        ("kafka", "client", "unknown.key"),
    ]


def test_a_secret_that_is_no_text_is_refused_and_forgotten():
    values = {"kafka": {"client": {"sasl.password": 1.10}, "schema_registry_password": [12]}}
    assert seal(StreamerSettings, values) == [
        "kafka.client.sasl.password: expected a text in quotes, which is taken as it stands",
        "kafka.schema_registry_password: expected a text in quotes, which is taken as it stands",
    ]
    assert values == {"kafka": {"client": {}}}


def test_what_should_be_a_table_is_forgotten_too():
    values = {"kafka": {"client": '{"sasl.password": "hunter2"}'}}
    assert seal(StreamerSettings, values) == [
        'kafka.client: expected a table, such as {"key" = "value"}'
    ]
    assert values == {"kafka": {}}


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (10**400, "a.b: expected a number of at most 64 bits"),
        ([1, -(1 << 63) - 1], "a.b: expected a number of at most 64 bits"),
        (float("nan"), "a.b: expected a finite number"),
        ("a\0b", "a.b: expected text in UTF-8 and without NUL"),
        ("\udcff", "a.b: expected text in UTF-8 and without NUL"),
        ({"\0": 1}, "a.b: expected text in UTF-8 and without NUL"),
        (nested(100_000), f"a: tables are nested more than {DEPTH_MAX} deep"),
        ((1 << 63) - 1, None),
        (nested(20), None),
    ],
)
def test_what_no_setting_can_be_is_told(value, problem):
    assert unsound({"a": {"b": value}}) == problem
