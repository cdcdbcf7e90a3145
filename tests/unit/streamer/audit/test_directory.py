from __future__ import annotations

import pytest

from streamer.audit.batches import Batch, Unreadable
from streamer.audit.directory import Directory
from streamer.audit.run import audit
from streamer.avro.files import block, header
from tests.unit.streamer.audit.stored import SYNC, encoded, trades, write


def counts(directory):
    return [one.count if isinstance(one, Batch) else str(one) for one in directory.batches()]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_blocks_come_in_the_order_of_the_numbers_in_the_names(tmp_path, codec):
    write(tmp_path, "trade", trades([3]), name="20270101T000000Z-000002.avro", codec=codec)
    write(tmp_path, "trade", trades([1, 2]), trades([4, 5, 6]), name="20280101T000000Z-000001.avro")
    assert counts(Directory(tmp_path)) == [2, 3, 1]
    assert counts(Directory(tmp_path / "trade")) == [2, 3, 1]


def test_a_file_in_progress_is_read_to_its_last_whole_block(tmp_path):
    path = write(tmp_path, "trade", trades([1, 2]), trades([3]), name="1-000001.avro.open")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert counts(Directory(tmp_path)) in ([], [2])
    path.write_bytes(whole)
    assert counts(Directory(tmp_path)) == [2, 1]


def test_a_complete_file_that_is_cut_off_is_named(tmp_path):
    path = write(tmp_path, "trade", trades([1, 2]), trades([3]))
    path.write_bytes(path.read_bytes()[:-1])
    assert counts(Directory(tmp_path)) == [2, f"{path}: ends within a block, though it is complete"]


def test_it_is_read_as_it_was_at_the_beginning(tmp_path):
    path = write(tmp_path, "trade", trades([1, 2]), name="1-000001.avro.open")
    directory = Directory(tmp_path)
    with path.open("ab") as file:
        file.write(block(encoded("trade", trades([3])), "null", SYNC))
    path.rename(path.with_suffix(""))
    write(tmp_path, "trade", trades([4]), name="2-000002.avro")
    assert counts(directory) == [2]
    assert counts(directory) == [2]
    assert counts(Directory(tmp_path)) == [2, 1, 1]


def test_a_file_in_progress_may_go_away_or_be_cut_by_a_repair(tmp_path):
    gone = write(tmp_path, "trade", name="1-000001.avro.open")
    cut = write(tmp_path, "trade", trades([1, 2]), trades([3]), name="2-000002.avro.open")
    directory = Directory(tmp_path)
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-3])
    assert counts(directory) == [2]


def test_a_complete_file_that_has_gone_is_named(tmp_path):
    path = write(tmp_path, "trade", trades([1, 2]))
    directory = Directory(tmp_path)
    path.unlink()
    assert counts(directory) == [f"{path}: No such file or directory"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 a zip", "no Avro container file"),
        (b"Obj\x01\x00" + SYNC, "its header contains no schema"),
        (header({"fields": []}, "snappy", SYNC), "the codec snappy is not read"),
        (
            header({"fields": []}, "null", SYNC) + b"\x01\x02",
            "a block announces -1 records, 1 bytes",
        ),
        (
            header({"fields": []}, "null", SYNC) + b"\x02\x00" + SYNC[::-1],
            "does not end as it must",
        ),
        (
            header({"fields": []}, "deflate", SYNC) + b"\x02\x04\xff\xff" + SYNC,
            "cannot be inflated",
        ),
        (header({"fields": []}, "null", SYNC) + b"\xff" * 12, "a number of more than 10 bytes"),
        (b"Obj\x01\xfe\xff\x03", "its header announces"),
        (b"Obj\x01\x02\x01", "something of -1 bytes is announced"),
    ],
)
def test_what_is_no_such_file_is_named(tmp_path, content, said):
    path = tmp_path / "a.avro"
    path.write_bytes(content)
    (problem,) = Directory(tmp_path).batches()
    assert isinstance(problem, Unreadable)
    assert str(problem).startswith(f"{path}: ")
    assert said in str(problem)


def test_a_header_in_the_other_form_is_read(tmp_path):
    """Blocks of entries may be negative, with their length in bytes."""
    path = write(tmp_path, "trade", trades([1]))
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\x03\x00" + content[5:])
    assert counts(Directory(tmp_path)) == [1]


def test_files_of_several_streamers_are_one_order(tmp_path):
    """BTC moved from one streamer alone to the second of two, and on to the first of three."""
    write(tmp_path, "trade", trades([1, 2]), name="20280101T000000Z-000001.avro")
    write(tmp_path / "streamer-2", "trade", trades([3]), name="20270101T000000Z-000004.avro")
    write(tmp_path / "streamer-1", "trade", trades([4, 5, 6]), name="20270101T000000Z-000006.avro")
    eth = trades([9] * 4, symbol="ETHUSDT")
    write(tmp_path / "streamer-1", "trade", eth, name="20270101T000000Z-000004.avro")
    assert counts(Directory(tmp_path)) == [2, 4, 1, 3]
    assert counts(Directory(tmp_path / "streamer-2")) == [1]
    (tmp_path / "streamer-1" / "trade" / "20270101T000000Z-000004.avro").unlink()
    findings = audit(Directory(tmp_path), lambda _: None).findings
    [finding] = [one for one in findings if one.symbol == "BTCUSDT"]
    assert (finding.first_id, finding.last_id, finding.disorder) == (1, 6, 0)
