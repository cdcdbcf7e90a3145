from __future__ import annotations

import contextlib
import io
from typing import Any

import fastavro
import pytest

from streamer.avro import files as avro_files
from streamer.avro.files import ContainerFile, Intact, intact
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.records import encoder, load_schema

SYNC = bytes(range(16))
SCHEMA = load_schema("bookTicker")


def ticker(update_id: int) -> bytes:
    event = BookTicker(update_id, "BTCUSDT", "1.5", "2", "3", "4")
    return encoder("bookTicker", "BTCUSDT")(event, 10**15)


def container(codec: Any, *blocks: list[int]) -> bytes:
    return avro_files.header(SCHEMA, codec, SYNC) + b"".join(
        avro_files.block([ticker(i) for i in ids], codec, SYNC) for ids in blocks
    )


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_any_avro_reader_reads_the_files(codec):
    reader = fastavro.reader(io.BytesIO(container(codec, [1, 2], [3])))

    assert reader.codec == codec
    assert reader.writer_schema["fields"][0]["doc"] == SCHEMA["fields"][0]["doc"]
    assert [record["update_id"] for record in reader] == [1, 2, 3]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_file_cut_at_any_byte_is_whole_up_to_its_last_block(tmp_path, codec):
    start, one, two = (len(container(codec, *blocks)) for blocks in ([], [[1]], [[1], [2, 3]]))
    data = container(codec, [1], [2, 3])
    path = tmp_path / "torn.avro"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        expected = Intact(0, 0)
        for length, records in ((start, 0), (one, 1), (two, 3)):
            if cut >= length:
                expected = Intact(length, records)
        assert intact(path) == expected

        if cut >= start:  # and a reader that knows nothing of us gets as far
            seen = []
            with path.open("rb") as file, contextlib.suppress(Exception):
                seen.extend(record["update_id"] for record in fastavro.reader(file))
            assert seen[: expected.records] == [1, 2, 3][: expected.records]


@pytest.mark.parametrize("tail", [b"\0" * 500, b"\xff" * 500, b"\x02\x10garbage", b"\x01\x01"])
def test_what_is_no_block_is_not_counted(tmp_path, tail):
    data = container("null", [1], [2])
    path = tmp_path / "torn.avro"
    path.write_bytes(data + tail)

    assert intact(path) == Intact(len(data), 2)


def test_a_header_in_the_other_form_is_understood(tmp_path):
    """Other writers may tell the metadata's length in bytes; fastavro can append to ours."""
    path = tmp_path / "other.avro"
    with path.open("wb") as file:
        fastavro.writer(file, SCHEMA, [], codec="null", sync_marker=SYNC)
    with path.open("ab") as file:
        file.write(avro_files.block([ticker(9)], "null", SYNC))

    assert intact(path) == Intact(path.stat().st_size, 1)


def test_another_file_is_told_apart(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"no Avro at all")

    with pytest.raises(ValueError, match="not an Avro"):
        intact(path)


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("together", [1, 1 << 19])
def test_records_are_read_from_the_end(tmp_path, monkeypatch, codec, together):
    monkeypatch.setattr(avro_files, "_TOGETHER_BYTES", together)
    path = tmp_path / "some.avro"
    path.write_bytes(container(codec, [1, 2], [3], [4, 5]) + b"torn")

    with ContainerFile(path) as file:
        assert file.schema["name"] == "BookTicker"
        assert (file.records, file.length_bytes) == (5, path.stat().st_size - 4)
        chunks = list(file.newest_first())

    if together == 1 or codec == "deflate":
        assert chunks == [b"".join(map(ticker, ids)) for ids in ([4, 5], [3], [1, 2])]
    else:
        (chunk,) = chunks
        assert all(ticker(number) in chunk for number in range(1, 6))


def test_a_file_without_a_whole_header_has_no_records(tmp_path):
    path = tmp_path / "some.avro"
    for content in (b"", container("null")[:50]):
        path.write_bytes(content)
        with ContainerFile(path) as file:
            assert (file.schema, file.records, list(file.newest_first())) == (None, 0, [])
