from types import SimpleNamespace

import msgspec
import pytest

from streamer.avro.binary import _MANY_VALUES, decimal, level_decimal, long, remembered_bytes
from streamer.config import KafkaConfig
from streamer.memory.free_heap import HeapUse
from streamer.memory.parts import (
    ENCODER_CACHES_LIMIT,
    FILE_PAGES_LIMIT,
    FILES_RECORD_BYTES,
    FREE_HEAP_LIMIT,
    HELD_EVENT_BYTES,
    KAFKA_QUEUE_FACTOR,
    KAFKA_RECORD_BYTES,
    MIB,
    PYTHON_FREE_LIMIT,
    MemoryAccount,
)
from streamer.memory.python_heap import PythonHeap
from streamer.messages import MEMORY_PARTS_MAX, MemoryPart, SinkCounts, pack, unpack
from tests.unit.monitor.observations import report

PYTHON = PythonHeap(in_use=12 * MIB, free=6 * MIB)


def account(heap=None, resident=(60 * MIB, 25 * MIB), python=PYTHON):
    def memory():
        if resident is None:
            raise FileNotFoundError
        return resident

    return MemoryAccount(
        KafkaConfig(), SimpleNamespace(use=lambda: heap), memory, lambda: python, lambda: 3 * MIB
    )


def test_a_queue_is_told_by_its_records_and_bounded_by_the_settings():
    sink = SinkCounts("kafka", accepted_total=1000, bytes_total=120_000, queued=50)
    part = account().parts(sink, 0)["sink_queue"]
    assert part.bytes == 50 * (120 + KAFKA_RECORD_BYTES)
    assert part.limit_bytes == KAFKA_QUEUE_FACTOR * KafkaConfig().queue_bytes


def test_what_waits_on_disk_takes_no_memory():
    sink = SinkCounts(
        "kafka", accepted_total=10, bytes_total=1200, queued=1_000_000, overflow_records=999_990
    )
    assert account().parts(sink, 0)["sink_queue"].bytes == 10 * (120 + KAFKA_RECORD_BYTES)


def test_records_for_files_wait_as_they_are():
    sink = SinkCounts("files", accepted_total=10, bytes_total=1000, queued=3)
    assert account().parts(sink, 0)["sink_queue"].bytes == 3 * (100 + FILES_RECORD_BYTES)


def test_events_above_a_gap_are_told():
    assert account().parts(SinkCounts("null"), 7)["held_events"].bytes == 7 * HELD_EVENT_BYTES


def test_both_heaps_and_pages_of_files_are_told_and_what_is_left():
    parts = account(HeapUse(in_use=10 * MIB, free=5 * MIB)).parts(SinkCounts("null"), 0)
    assert parts["free_heap"] == MemoryPart(5 * MIB, FREE_HEAP_LIMIT)
    assert parts["heap_in_use"] == MemoryPart(10 * MIB)
    assert parts["file_pages"] == MemoryPart(25 * MIB, FILE_PAGES_LIMIT)
    assert parts["python_objects"] == MemoryPart(12 * MIB)
    assert parts["python_free"] == MemoryPart(6 * MIB, PYTHON_FREE_LIMIT)
    assert parts["other"] == MemoryPart(2 * MIB)
    assert len(parts) <= MEMORY_PARTS_MAX


def test_what_the_encoder_remembers_is_told_and_no_more_than_it_can_be():
    part = account().parts(SinkCounts("null"), 0)["encoder_caches"]
    assert part == MemoryPart(3 * MIB, ENCODER_CACHES_LIMIT)
    for number in range(_MANY_VALUES + 10):
        decimal(f"{number}.5")
        level_decimal(f"{number}.25")
        long(number << 14)
    assert 0.7 * ENCODER_CACHES_LIMIT < remembered_bytes() <= ENCODER_CACHES_LIMIT


def test_what_is_in_use_is_told_and_accounts_for_nothing():
    parts = account(HeapUse(1, 1)).parts(SinkCounts("kafka"), 0)
    unlimited = {name for name, part in parts.items() if part.limit_bytes is None}
    assert unlimited == {"heap_in_use", "python_objects", "other"}


@pytest.mark.parametrize("heap", [None, HeapUse(1, 2)])
def test_where_nobody_tells_less_is_told(heap):
    assert "file_pages" not in account(heap, resident=None).parts(SinkCounts("null"), 0)
    assert account(None).parts(SinkCounts("null"), 0)["file_pages"].bytes == 25 * MIB
    without = account(HeapUse(1, 2), python=None).parts(SinkCounts("null"), 0)
    assert not without.keys() & {"python_objects", "python_free", "other"}


def test_parts_travel_and_are_bounded():
    told = report(1, streams=(), memory={"free_heap": MemoryPart(5, 9), "rest": MemoryPart(7)})
    assert unpack(pack(told)) == told
    many = {f"part-{number}": MemoryPart(1) for number in range(MEMORY_PARTS_MAX + 1)}
    with pytest.raises(ValueError, match="length"):
        unpack(pack(msgspec.structs.replace(told, memory=many)))


def test_a_report_of_before_tells_none():
    frames = pack(report(1, streams=()))
    values = msgspec.msgpack.decode(frames[1])
    del values["memory"]
    assert unpack([frames[0], msgspec.msgpack.encode(values)]).memory == {}
