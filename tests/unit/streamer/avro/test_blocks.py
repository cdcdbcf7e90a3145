from __future__ import annotations

from pathlib import Path

import pytest

from streamer.avro.binary import long
from streamer.avro.blocks import BlockReader
from streamer.avro.files import SYNC_BYTES, block, header

SYNC = bytes(range(SYNC_BYTES))
HEADER = header({"type": "long"}, "null", SYNC)


def written(path: Path, *parts: bytes) -> Path:
    with path.open("ab") as file:
        file.writelines(parts)
    return path


def test_blocks_are_read_one_by_one_also_those_that_come_later(tmp_path: Path) -> None:
    path = written(tmp_path / "a", HEADER, block([long(1), long(2)], "null", SYNC))
    reader = BlockReader(path)
    assert (reader.header, reader.read()) == (HEADER, (2, long(1) + long(2)))
    assert reader.read() is None
    later = block([long(3)], "null", SYNC)
    written(path, later[:5])
    assert reader.read() is None
    written(path, later[5:])
    assert reader.rest() == later
    assert reader.read() == (1, long(3))
    assert reader.rest() == b""
    reader.close()


@pytest.mark.parametrize("torn", [b"\x00", b"\x02\x01", b"\x02\x04ab" + bytes(SYNC_BYTES)])
def test_what_is_no_block_is_the_end(tmp_path: Path, torn: bytes) -> None:
    reader = BlockReader(written(tmp_path / "a", HEADER, torn))
    assert reader.read() is None
    reader.close()


@pytest.mark.parametrize("beginning", [b"", b"PK\x03\x04", HEADER[:-1]])
def test_what_has_no_whole_header_is_refused(tmp_path: Path, beginning: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an Avro|cut off"):
        BlockReader(written(tmp_path / "a", beginning))
