import logging

import pytest

from streamer.errors import SettingsError
from streamer.secret import Secret
from streamer.setting_sources import from_assignments, from_environment, from_file
from streamer.settings import StreamerSettings

LOOKS_LIKE_TOML = [
    "1234#abcd", "1.10", "1e10", "0x1F", "1_000", "007", "true", "2026-11-27", "[1]", "{}", "inf",
    " padded ", "", "a\nb = 1",
]  # fmt: skip
QUOTED = ['"quoted"', "'quoted'"]


def environment(**variables):
    return from_environment(StreamerSettings, {f"VIGIL_{k}": v for k, v in variables.items()})


def assignments(*texts):
    return from_assignments(StreamerSettings, texts)


def refused(read, *texts):
    with pytest.raises(SettingsError) as caught:
        read(*texts)
    return str(caught.value)


@pytest.mark.parametrize("text", [*LOOKS_LIKE_TOML, *QUOTED])
def test_text_from_the_environment_is_taken_as_it_stands(text):
    taken = environment(
        KAFKA__CLIENT__SASL_PASSWORD=text,
        KAFKA__CLIENT__CLIENT_ID=text,
        KAFKA__SCHEMA_REGISTRY_PASSWORD=text,
        KAFKA__TOPICS__TRADE=text,
        SINK__DIRECTORY=text,
    )
    assert taken["kafka"]["client"] == {"sasl.password": Secret(text), "client.id": text}
    assert taken["kafka"]["schema_registry_password"] == Secret(text)
    assert taken["kafka"]["topics"] == {"trade": text}
    assert taken["sink"]["directory"] == text


@pytest.mark.parametrize("text", LOOKS_LIKE_TOML)
def test_text_from_the_command_line_is_taken_as_it_stands(text):
    taken = assignments(f"kafka.client.client.id={text}", f"sink.directory={text}")
    assert taken == {"kafka": {"client": {"client.id": text}}, "sink": {"directory": text}}


@pytest.mark.parametrize("text", QUOTED)
def test_the_command_line_takes_quoted_text_as_toml_does(text):
    assert assignments(f"sink.directory={text}") == {"sink": {"directory": "quoted"}}


def test_lists_and_values_are_read_as_toml():
    assert environment(EXCHANGE__SYMBOLS='["A", "B"]')["exchange"] == {"symbols": ["A", "B"]}
    assert environment(EXCHANGE__SYMBOLS="1e10,1INCH")["exchange"] == {"symbols": "1e10,1INCH"}
    assert assignments("kafka.partitions=1_0")["kafka"] == {"partitions": 10}
    assert assignments("connection.max_age=4h")["connection"] == {"max_age": "4h"}
    table = environment(KAFKA__CLIENT='{"linger.ms" = 5}')
    assert table["kafka"]["client"] == {"linger.ms": 5}


def test_a_value_brings_no_second_key():
    assert assignments("kafka.partitions=1\nother = 2")["kafka"] == {"partitions": "1\nother = 2"}


@pytest.mark.parametrize(
    "assignment",
    [
        "exchange.proxy=http://me:hunter2@proxy:3128",
        'kafka.client={"sasl.password" = "hunter2"}',
        'kafka.client={"linger.ms" = 5, "new.key" = "hunter2"}',
        "kafka.client.sasl.oauthbearer.config=hunter2",
        "kafka.client.sasl.kerberos.kinit.cmd=kinit hunter2",
        "kafka.client.whatever=hunter2",
        'kafka.schema_registry_password="hunter2"',
        'kafka.client={"sasl.password": "hunter2"}',
        "kafka.client=hunter2",
        "kafka.client.sasl.password:hunter2",
        "hunter.kafka.client.sasl.password hunter2",
    ],
)
def test_no_secret_is_taken_from_the_command_line_or_repeated(assignment):
    said = refused(assignments, assignment)
    assert "hunter2" not in said
    assert said.startswith("--set ")


def test_what_is_no_secret_may_stand_on_the_command_line():
    taken = assignments(
        "exchange.proxy=http://proxy:3128",
        'kafka.client={"receive.message.max.bytes" = 1}',
    )
    assert str(taken["exchange"]["proxy"]) == "http://proxy:3128"
    assert taken["kafka"]["client"] == {"receive.message.max.bytes": 1}


@pytest.mark.parametrize(
    "text",
    [
        "connection.max_age = " + "9" * 5_000,
        "connection.max_age = 1" + "0" * 400,
        "a = " + "[" * 100_000,
        "a." * 100_000 + "b = 1",
        "a." * 500 + "b = 1",
        "connection.max_age = nan",
        "x = '" + "x" * (1 << 20) + "'",
        "x = 1\nx = 2",
        "\ufeffx = 1",
    ],
)
def test_a_hostile_file_ends_in_a_clear_error(tmp_path, text):
    file = tmp_path / "vigil.toml"
    file.write_text(text)
    said = refused(lambda: from_file(StreamerSettings, file))
    assert said.startswith(str(file))
    assert len(said) < 500


def test_bytes_that_are_no_text_and_files_without_end_are_refused(tmp_path):
    file = tmp_path / "vigil.toml"
    file.write_bytes(b"\xff\xfe")
    assert "is no valid TOML" in refused(lambda: from_file(StreamerSettings, file))
    zero = type(file)("/dev/zero")
    assert "is longer than" in refused(lambda: from_file(StreamerSettings, zero))
    assert "cannot be read" in refused(lambda: from_file(StreamerSettings, tmp_path))


@pytest.mark.parametrize("value", ["[" * 10_000, "9" * 5_000, "{a={" * 500])
def test_a_hostile_value_stays_text(value):
    assert environment(KAFKA__PARTITIONS=value)["kafka"]["partitions"] == value
    assert assignments(f"kafka.partitions={value}")["kafka"]["partitions"] == value


def test_a_number_of_four_hundred_digits_is_refused():
    value = "1" + "0" * 400
    for read in (
        lambda: environment(KAFKA__PARTITIONS=value),
        lambda: assignments(f"kafka.partitions={value}"),
    ):
        assert "kafka.partitions: expected a number of at most 64 bits" in refused(read)


@pytest.mark.parametrize(
    ("mode", "text", "warns"),
    [
        (0o644, 'kafka.client.sasl.password = "hunter2"', True),
        (0o640, 'kafka.client.sasl.password = "hunter2"', False),
        (0o644, "kafka.client.linger.ms = 5", False),
        (0o604, 'exchange.proxy = "http://me:hunter2@proxy:1"', True),
        (0o644, 'exchange.proxy = "http://proxy:1"', False),
    ],
)
def test_a_file_with_secrets_that_everybody_can_read_is_told(tmp_path, caplog, mode, text, warns):
    file = tmp_path / "vigil.toml"
    file.write_text(text)
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        from_file(StreamerSettings, file)
    assert ("everybody on the machine can read it" in caplog.text) == warns
    assert "hunter2" not in caplog.text
