"""Avro files and files of positions as a start finds them: told of, and the start goes on."""

from __future__ import annotations

import json
import logging
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audit.directory import Directory
from streamer.audit.run import audit
from streamer.avro.binary import long
from streamer.avro.files import block, header
from streamer.config import SinkConfig
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, load_schema
from streamer.export.job import ExportError, run
from streamer.export.plan import Exported, Source, job_of
from streamer.head.files import read_directory
from streamer.head.last_records import Wanted
from streamer.head.table import tables
from streamer.printable import printable
from streamer.routes import Routes
from streamer.sinks.files import FilesSink
from tests.fuzzing import EXAMPLES, fuzz

ROUTES = Routes(("trade",), ("BTCUSDT",))
[ROUTE] = ROUTES
SYNC = b"s" * 16
SCHEMA = load_schema("trade")
EVENT = Trade("trade", 10, "BTCUSDT", 7, "1.5", "2", 10, True)
RECORD = encoder("trade", "BTCUSDT")(EVENT, 10)
HEADER = header(SCHEMA, "null", SYNC)
BLOCK = block([RECORD] * 3, "null", SYNC)

lengths = st.sampled_from([0, 1, -1, 1 << 31, 1 << 62, (1 << 63) - 1, -(1 << 63)]) | st.integers(
    -(1 << 63), (1 << 63) - 1
)
schemas = st.sampled_from(
    [b"", b"7", b"[]", b"{}", b'{"fields":7}', b'{"fields":[{}]}', b"[" * 30_000, b"\xff",
     b'{"name":"Trade","fields":[{"name":"x","type":"x"}]}',
     b'{"name":"Trade","fields":[{"name":"record_id","type":["null","null"]}]}',
     json.dumps(SCHEMA).encode()]
)  # fmt: skip
codecs = st.sampled_from([b"null", b"deflate", b"snappy", b"\xff", b""])


@st.composite
def containers(draw):
    """A file that is whole but for what is drawn: its header, its blocks, single bytes."""
    entries = {b"avro.schema": draw(schemas), b"avro.codec": draw(codecs)}
    texts = b"".join(long(len(k)) + k + long(len(v)) + v for k, v in entries.items())
    made = b"Obj\x01" + long(draw(st.just(2) | lengths)) + texts + long(0) + SYNC
    content = bytearray(draw(st.sampled_from([HEADER, made])))
    parts = draw(st.lists(st.sampled_from([b"block", b"lengths", b"bytes"]), max_size=4))
    for part in parts:
        if part == b"block":
            content += BLOCK
        elif part == b"lengths":
            content += (
                long(draw(lengths)) + long(draw(lengths)) + draw(st.binary(max_size=20)) + SYNC
            )
        else:
            content += draw(st.binary(max_size=40))
    for _ in range(draw(st.integers(0, 3))):
        if content:
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.just(len(content)) | st.integers(0, len(content)))])


json_values = st.recursive(
    st.none() | st.booleans() | lengths | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def positions(draw):
    document = {
        "version": draw(st.just(1) | json_values),
        "next_file": draw(st.just(2) | json_values),
        "positions": draw(
            st.dictionaries(
                st.just(ROUTE.name) | st.text(max_size=8),
                st.fixed_dictionaries({"last_id": lengths, "received_us": lengths}) | json_values,
                max_size=2,
            )
            | json_values
        ),
    }
    if draw(st.booleans()):
        document["sha256"] = draw(json_values)
    text = json.dumps(document).encode()
    return text[: draw(st.just(len(text)) | st.integers(0, len(text)))]


@pytest.fixture(autouse=True)
def _quick(caplog, monkeypatch):
    """What goes to the log, and to the disk's own cache, is not looked at."""
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


def empty(directory):
    shutil.rmtree(directory, ignore_errors=True)
    return directory


def started(directory):
    """Start on what is there, store a record, and read all of it again."""
    sink = FilesSink(SinkConfig(directory=directory), tuple(ROUTES))
    try:
        sink.positions()
        sink.put(ROUTE, EVENT, 10)
        assert sink.flush(10.0) == 0
    finally:
        sink.close()
    outcome = audit(Directory(directory), lambda _: None)
    assert outcome.records >= 1


@fuzz
@given(st.sampled_from([".avro", ".avro.open"]), containers() | st.binary(max_size=60))
def test_any_file_of_records(tmp_path_factory, suffix, content):
    directory = empty(tmp_path_factory.getbasetemp() / "sink")
    (directory / "trade").mkdir(parents=True)
    (directory / "trade" / f"x-000001{suffix}").write_bytes(content)
    started(directory)


@fuzz
@given(positions() | st.binary(max_size=60))
def test_any_file_of_positions(tmp_path_factory, content):
    directory = empty(tmp_path_factory.getbasetemp() / "positions")
    (directory / "positions").mkdir(parents=True)
    (directory / "trade").mkdir()
    (directory / "positions" / "trade.json").write_bytes(content)
    (directory / "trade" / "x-000001.avro").write_bytes(HEADER + BLOCK)
    started(directory)


@fuzz
@given(
    st.binary(max_size=200)
    | st.lists(json_values.map(lambda v: json.dumps(v).encode())).map(b"\n".join)
)
def test_any_manifest(tmp_path_factory, content):
    from streamer.audit.holdings import check_files
    from streamer.audit.period import ALWAYS

    directory = empty(tmp_path_factory.getbasetemp() / "manifests")
    (directory / "manifest").mkdir(parents=True)
    (directory / "trade").mkdir()
    (directory / "manifest" / "trade.jsonl").write_bytes(content)
    (directory / "trade" / "x-000001.avro").write_bytes(HEADER + BLOCK)
    assert check_files(directory, ALWAYS).not_judged
    started(directory)


@settings(fuzz, max_examples=EXAMPLES // 3)  # a Parquet file takes some milliseconds
@given(containers() | st.binary(max_size=60))
def test_any_file_that_is_shown_or_exported(tmp_path_factory, content):
    directory = empty(tmp_path_factory.getbasetemp() / "shown")
    (directory / "trade").mkdir(parents=True)
    (directory / "trade" / "20261127T000000Z-000001.avro").write_bytes(content)
    target = empty(tmp_path_factory.getbasetemp() / "exported")
    kinds, problems = read_directory(directory, Wanted(3))
    lines = tables(kinds) + [printable(problem) for problem in problems]
    assert all(line.isprintable() for line in lines)
    sources = [Source("20261127T000000Z-000001.avro", len(content))]
    before = Exported(())
    doing = job_of("trade", "2026-11-27", sources, before)
    try:
        exported = run(doing, directory, target, (), before)
    except ExportError:
        assert not list(target.rglob("*.parquet"))
    else:
        assert exported.sources == tuple(sources)
        shown = sum(len(records) for kind in kinds for records in kind.found.values())
        assert min(sum(output.records for output in exported.outputs), 3) == shown
