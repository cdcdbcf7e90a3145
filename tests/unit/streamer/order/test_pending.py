from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.order import pending
from streamer.order.pending import DiskStore, MemoryStore, Run, Runs


class Counted:
    """An encoding that notes what went through it: what is on disk, and nothing else, does."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.read: list[str] = []

    def encode(self, item: str) -> bytes:
        self.written.append(item)
        return item.encode()

    def decode(self, data: bytes) -> tuple[int, str]:
        self.read.append(data.decode())
        return int(data.decode().rstrip("x")), data.decode()

    def store(self, limit: int, directory: Path) -> DiskStore[str]:
        return DiskStore(limit, directory, self.encode, self.decode)


def item_of(event_id: int) -> str:
    """Items of many lengths."""
    return f"{event_id}{'x' * (event_id % 7)}"


# Runs -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), unique=True))
def test_runs_are_the_maximal_stretches_of_neighbours(arrivals: list[int]) -> None:
    runs, came_at = Runs(), {event_id: float(at) for at, event_id in enumerate(arrivals)}
    for event_id, at in came_at.items():
        assert event_id not in runs
        runs.add(event_id, at)

    assert [event_id in runs for event_id in range(-1, 42)] == [
        event_id in came_at for event_id in range(-1, 42)
    ]
    begins = [each for each in sorted(came_at) if each - 1 not in came_at]
    ends = [each for each in sorted(came_at) if each + 1 not in came_at]
    expected = [
        (
            Run(first, last, min(came_at[each] for each in range(first, last + 1))),
            min(at for each, at in came_at.items() if each >= first),
        )
        for first, last in zip(begins, ends, strict=True)
    ]
    assert runs.suspected_since() == expected


@given(
    st.lists(st.one_of(st.integers(0, 30), st.none()), max_size=80)  # none: take the lowest
)
def test_runs_give_back_the_lowest_id_first(steps: list[int | None]) -> None:
    runs, model = Runs(), set[int]()
    for step in steps:
        if step is None and model:
            assert runs.lowest.first_id == min(model)
            assert runs.pop() == min(model)
            model.remove(min(model))
        elif step is not None and step not in model:
            runs.add(step, 0.0)
            model.add(step)
        assert bool(runs) == bool(model)
    assert {event_id for event_id in range(31) if event_id in runs} == model


# Stores -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), unique=True))
def test_memory_keeps_everything(ids: list[int]) -> None:
    store = MemoryStore[str]()
    assert all(store.put(event_id, item_of(event_id)) for event_id in ids)
    assert len(store) == len(ids)

    taken = sorted(ids)
    assert [store.peek(event_id) for event_id in taken] == [item_of(each) for each in taken]
    assert store.peek(99) is None
    assert [store.pop(event_id) for event_id in taken] == [item_of(each) for each in taken]
    assert len(store) == 0


@settings(deadline=None)
@given(
    limit=st.integers(0, 5),
    read_back=st.integers(1, 4),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from(["ok", "ok", "torn", "full"])),
            st.tuples(st.just("pop"), st.integers(0, 100)),
        ),
        max_size=60,
    ),
)
def test_the_disk_store_is_a_plain_mapping_that_may_refuse(
    limit: int, read_back: int, steps: list[tuple[str, object]]
) -> None:
    """Whatever is taken out when, and whenever the disk is full or tears a write."""
    model: dict[int, str] = {}
    counted, disk = Counted(), ["ok"]
    write = os.pwrite

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if disk[0] == "full":
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-1] if disk[0] == "torn" else data, offset)

    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "pwrite", pwrite)
        patched.setattr(pending, "READ_BACK", read_back)
        store = counted.store(limit, Path(directory))
        for event_id, (step, how) in enumerate(steps):
            if step == "put":
                disk[0] = str(how)
                before = len(counted.written)
                kept = store.put(event_id, item_of(event_id))
                assert kept or disk[0] != "ok"
                assert kept == (disk[0] == "ok" or len(counted.written) == before)
                if kept:
                    model[event_id] = item_of(event_id)
            elif model:
                assert isinstance(how, int)
                wanted = sorted(model)[how % len(model)]
                assert store.pop(wanted) == model.pop(wanted)
            assert len(store) == len(model)
        assert {each: store.pop(each) for each in sorted(model)} == model
        assert len(store) == 0


def test_only_what_exceeds_the_limit_goes_to_disk_and_keeps_its_order(tmp_path: Path) -> None:
    counted = Counted()
    store = counted.store(2, tmp_path)
    for event_id in range(5):
        store.put(event_id, item_of(event_id))
    assert counted.written == [item_of(each) for each in (2, 3, 4)]

    store.pop(0)
    store.put(5, item_of(5))  # there is room in memory, but older ones are on disk
    assert counted.written[-1] == item_of(5)
    assert counted.read == []


def test_once_the_disk_is_read_to_its_end_memory_is_used_again(tmp_path: Path) -> None:
    counted = Counted()
    store = counted.store(1, tmp_path)
    for round_begins in (0, 10):  # the second time from the start of a new file
        for event_id in range(round_begins, round_begins + 3):
            assert store.put(event_id, item_of(event_id))
        for event_id in range(round_begins, round_begins + 3):
            assert store.pop(event_id) == item_of(event_id)

    assert counted.written == [item_of(each) for each in (1, 2, 11, 12)]


def test_no_more_than_a_batch_is_read_back_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "READ_BACK", 3)
    counted = Counted()
    store = counted.store(0, tmp_path)
    for event_id in range(10):
        store.put(event_id, item_of(event_id))

    store.pop(0)
    assert len(counted.read) == 3
    store.pop(2)
    assert len(counted.read) == 3
    store.pop(3)
    assert len(counted.read) == 6


def test_nothing_of_it_has_a_name(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there yet"
    store = Counted().store(0, directory)
    assert store.put(1, item_of(1))

    assert list(directory.iterdir()) == []
    assert store.pop(1) == item_of(1)


def test_a_directory_that_cannot_be_made_is_a_refusal_and_can_be_made_later(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "held"
    directory.write_text("a file is in the way")
    store = Counted().store(1, directory)
    assert store.put(1, item_of(1))
    assert not store.put(2, item_of(2))
    assert len(store) == 1

    directory.unlink()
    assert store.put(3, item_of(3))
    assert [store.pop(each) for each in (1, 3)] == [item_of(1), item_of(3)]


def test_any_item_is_one_of_those_that_wait(tmp_path: Path, monkeypatch) -> None:
    memory, disk = MemoryStore[str](), Counted().store(1, tmp_path)
    assert memory.any() is disk.any() is None
    for event_id in (7, 3, 5):
        memory.put(event_id, item_of(event_id))
        disk.put(event_id, item_of(event_id))
    assert memory.any() == disk.any() == item_of(7)

    disk.pop(7)  # what waits is on disk alone
    answers = iter([len(item_of(3)).to_bytes(4, "little"), OSError("gone")])

    def read(*_: object) -> bytes:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", read)
        assert disk.any() is None
    assert disk.any() == item_of(3)
    assert [disk.pop(5), disk.pop(3)] == [item_of(5), item_of(3)]
