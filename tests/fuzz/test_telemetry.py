"""Whatever a report says is refused, or is counted, exported and written down without a mistake."""

from __future__ import annotations

import json
import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from monitor.decide import decide
from monitor.exposition import Exposition
from monitor.ledger import Ledger
from monitor.model import Reported, Tick
from monitor.recorder import Recorder
from monitor.rules import built_in_rules
from monitor.state import State
from monitor.status import as_status
from streamer.messages import WIRE_VERSION, Report, WireError, pack, unpack
from supervisor.report import plain_report
from tests.fuzzing import fuzz
from tests.unit.monitor.observations import EPOCH, launched, report, sample, slot, stream

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1e300, math.nan, math.inf]),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(),
    st.text(max_size=300),
    st.sampled_from(["<script>", "\x1b[2J\n", 'a"} 1\nfake_metric 1', "x" * 100_000]),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3),
)


def places(value: object) -> list[tuple[object, object]]:
    """Return every container with the keys of what is in it."""
    if isinstance(value, dict):
        found = [(value, key) for key in value]
        return found + [each for inner in value.values() for each in places(inner)]
    if isinstance(value, list):
        found = [(value, number) for number in range(len(value))]
        return found + [each for inner in value for each in places(inner)]
    return []


@st.composite
def payloads(draw) -> bytes:
    """Return a report of which some values are something else, or bytes that are anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    whole = report(2, streams=(stream(7, "BTCUSDT"),), slots=(slot(age=3.0),))
    raw = msgspec.msgpack.decode(pack(whole)[1])
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places(raw)))
        container[key] = draw(VALUES)  # type: ignore[index] # a dict or a list
    encoded = msgspec.msgpack.encode(raw)
    cut = draw(st.integers(0, len(encoded))) if draw(st.integers(0, 9)) == 0 else len(encoded)
    return encoded[:cut]


@fuzz
@given(payloads())
def test_a_report_is_refused_or_harms_nothing(payload):
    try:
        message = unpack([WIRE_VERSION, payload])
    except WireError:
        return
    if not isinstance(message, Report):
        return
    ledger = Ledger(None, 4 * 3600.0)
    state = State(built_in_rules("run"), "run", ledger)
    recorder = Recorder(ledger, None, {}, {}, EPOCH, 0.0)
    events = [launched(), sample(1.0), Reported(1.0, report(1)), Reported(2.0, message), Tick()]
    for number, event in enumerate(events):
        now = float(number)
        state, actions = decide(state, event, now)
        recorder.observe(event, now, EPOCH + now)
        for action in actions:
            recorder.acted(action, now, EPOCH + now)
    snapshot = recorder.snapshot(9.0, EPOCH + 9.0)
    exposition = Exposition(lambda: snapshot).text()[0].decode()
    assert "fake_metric" not in {one.name for one in text_string_to_metric_families(exposition)}
    json.dumps(as_status(snapshot), allow_nan=False)
    json.dumps(recorder.document(9.0, EPOCH + 9.0), allow_nan=False)
    plain_report(snapshot)
