from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from monitor.model import Sample
from monitor.sampler import Sampler, SlowLook
from tests.waiting import WITHIN_SECONDS

PATIENCE_SECONDS = WITHIN_SECONDS
MIB = 1 << 20


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    code = "import sys; x = bytearray(50 << 20); sys.stdout.write('!'); sys.stdout.flush()"
    process = subprocess.Popen(
        [sys.executable, "-c", code + "; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(1)
    yield process
    process.kill()
    process.communicate()


def test_a_living_process_is_measured(process: subprocess.Popen[bytes]) -> None:
    sample = Sampler(process.pid, "s", 3).sample(5.0, 1000.0)
    assert sample is not None
    assert (sample.streamer, sample.generation, sample.at, sample.time) == ("s", 3, 5.0, 1000.0)
    assert 50 * MIB < sample.rss_bytes < 200 * MIB
    assert sample.vms_bytes >= sample.rss_bytes
    assert sample.threads == 1
    assert sample.open_files >= 3
    assert 0 < sample.cpu_seconds < 60


def test_uss_comes_with_a_later_sample_and_once_a_minute(process: subprocess.Popen[bytes]) -> None:
    sampler = Sampler(process.pid, "s", 1)

    def next_look(now: float) -> Sample | None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            sample = sampler.sample(now, 0.0)
            if sample is not None and sample.uss_bytes is not None:
                return sample
            time.sleep(0.005)
        return None

    first = next_look(0.0)
    assert first is not None
    assert first.pss_bytes is not None
    assert 50 * MIB < (first.uss_bytes or 0) <= first.rss_bytes
    for now in (1.0, 30.0, 59.0):
        later = sampler.sample(now, 0.0)
        assert later is not None
        assert later.uss_bytes is None
    assert next_look(61.0) is not None


def test_zombie_and_dead_yield_nothing(process: subprocess.Popen[bytes]) -> None:
    sampler = Sampler(process.pid, "s", 1)
    process.kill()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sampler.sample(0.0, 0.0) is not None:  # not reaped yet: a zombie from here on
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.wait()
    assert sampler.sample(1.0, 1.0) is None
    assert Sampler(process.pid, "s", 1).sample(2.0, 2.0) is None


def test_another_process_with_the_same_id_is_not_taken_for_it(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = Sampler(process.pid, "s", 1)
    assert sampler._process is not None
    # What psutil remembers of the start is not what the process of this id shows now.
    monkeypatch.setattr(sampler._process, "_ident", (process.pid, 1.0))
    assert sampler.sample(0.0, 0.0) is None


def test_a_look_that_hangs_is_given_up_and_not_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    release, begun = threading.Event(), []

    def hang(_self: SlowLook) -> None:
        begun.append(1)
        release.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(SlowLook, "_look", hang)
    look = SlowLook(1, within_seconds=10.0)
    assert look.begin(0.0)
    assert look.take(9.0) is None
    assert look.take(11.0) is None
    assert not look.begin(60.0)
    release.set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look.begin(120.0):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert len(begun) == 2
