"""Settings from anywhere: a clear error or settings that can be shown, never anything else."""

from __future__ import annotations

import gc
import json
import logging
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import SettingsError
from streamer.settings import load as load_model
from streamer.settings import masked
from supervisor.settings import Settings
from tests.fuzzing import EXAMPLES, fuzz

SECTIONS = [*Settings.model_fields, "nonsense", ""]
sections = st.sampled_from(SECTIONS)
KEYS = sorted(
    {
        key
        for field in Settings.model_fields.values()
        for key in getattr(field.annotation, "__dataclass_fields__", {})
    }
    | {"client.sasl.password", "client.linger.ms", "topics.trade", "nonsense"}
)
HOSTILE = [
    "1234#abcd", "1.10", "1e10", "1e400", "0x1F", "1_000", "nan", "-1", "true", "", " ", "\x00",
    "\x1b[2J", "\udcff", "9" * 400, "9" * 5_000, "[" * 5_000, "{a={" * 300, '"', "'''", "[1, [2]]",
    '{"a"=1}', "4h", "450MiB", "9" * 400 + "d", "wss://me:pw@host", "http://[::1", "1979-05-27",
    "a\nb = 1", "x" * 70_000,
]  # fmt: skip
keys = st.sampled_from(KEYS)
values = st.sampled_from(HOSTILE) | st.text(max_size=40) | st.integers().map(str)
in_toml = st.sampled_from(HOSTILE).map(lambda text: json.dumps(text, ensure_ascii=True)) | values


@st.composite
def environments(draw):
    names = draw(st.lists(st.tuples(sections, keys), min_size=1, max_size=4))
    proxies = draw(st.lists(st.sampled_from(["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]), max_size=2))
    return {
        f"VIGIL_{section}__{key.replace('.', '__', 1)}".upper(): draw(values)
        for section, key in names
    } | {name: draw(values) for name in proxies}


@st.composite
def assignments(draw):
    key = draw(st.builds("{}.{}".format, sections, keys) | st.text(max_size=20))
    return f"{key}{draw(st.sampled_from(['=', '', ' = ', ':']))}{draw(values)}"


@st.composite
def files(draw):
    lines = draw(
        st.lists(
            st.builds("{}.{} = {}".format, sections, keys, in_toml)
            | st.builds("[{}]".format, sections | st.text(max_size=9))
            | st.builds(
                "[[rules]]\n{} = {}".format, st.sampled_from(["name", "above", "for"]), in_toml
            )
            | st.text(max_size=30)
            | st.sampled_from(["a." * 900 + "b = 1", "a." * 5_000 + "b = 1"]),
            max_size=5,
        )
    )
    return "\n".join(lines).encode(errors="surrogateescape")


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL)


def outcome(file=None, given_assignments=(), environment=None):
    """Return the settings as they are shown, or what is wrong with them."""
    try:
        settings = load_model(Settings, file, given_assignments, environment or {})
    except SettingsError as error:
        said = str(error)
        assert said
        assert len(said) < 20_000
        assert "\x1b" not in said
        return said
    return json.dumps(masked(settings))


@fuzz
@given(environments())
def test_any_environment(environment):
    outcome(environment=environment)


@fuzz
@given(st.lists(assignments(), max_size=3))
def test_any_assignments(texts):
    outcome(given_assignments=texts)


@fuzz
@given(files() | st.binary(max_size=200))
def test_any_file(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(content)
    outcome(file=path)


@fuzz
@given(st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable()))
def test_any_text_is_taken_as_it_stands(text):
    environment = {"VIGIL_KAFKA__CLIENT__SASL_PASSWORD": text, "VIGIL_SINK__DIRECTORY": text}
    settings = load_model(Settings, None, (), environment)
    assert settings.kafka.client["sasl.password"].reveal() == text
    assert str(settings.sink.directory) == str(type(settings.sink.directory)(text))


def test_no_memory_stays():
    """After as many wrong settings again there is no more in memory than before."""
    environment = {"VIGIL_KAFKA__CLIENT__X": "x" * 10_000, "VIGIL_SINK__KIND": "x" * 9_000}

    def taken_bytes():
        for _ in range(min(EXAMPLES, 500)):
            outcome(environment=environment)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        taken_bytes()
        before = taken_bytes()
        assert taken_bytes() - before < 20_000  # two of the values
    finally:
        tracemalloc.stop()
