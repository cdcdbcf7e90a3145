from __future__ import annotations

import math
from pathlib import Path

import pytest

from streamer.listing.listing_file import Listing, ListingFile
from supervisor import streamer_count
from supervisor.settings import STREAMERS_MAX, Settings, load
from supervisor.streamer_count import (
    automatic_count,
    available_cores,
    available_memory,
    count_in_effect,
    wanted_count,
    warn_of_memory,
)


@pytest.mark.parametrize(
    ("cores", "streams", "count"),
    [
        (1, 4500, 1),
        (2, 4500, 2),
        (8, 4500, 5),
        (8, 1024, 1),
        (8, 1025, 2),
        (8, 0, 1),
        (500, 10**6, STREAMERS_MAX),
    ],
)
def test_one_per_connections_worth_of_streams_and_no_more_than_cores(
    cores: int, streams: int, count: int
) -> None:
    assert automatic_count(cores, streams) == count


def test_it_counts_the_streams_of_what_patterns_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer_count, "available_cores", lambda: 16)

    def count(symbols: list[str], streams: int = 3, number: object = "auto") -> int:
        names = ["trade", "bookTicker", "depth@100ms"][:streams]
        return wanted_count(
            Settings.model_validate(
                {
                    "exchange": {"symbols": symbols, "streams": names},
                    "sink": {"directory": tmp_path},
                    "streamers": {"count": number},
                }
            )
        )

    assert count(["all"], number=7) == 7
    assert count(["BTCUSDT", "ETHUSDT"]) == 1
    assert count(["all"]) == 5, "4,500 streams, as long as nobody knows better"
    (tmp_path / "streamer-2").mkdir()
    trading = frozenset(f"A{number}USDT" for number in range(400)) | {"ETHBTC"}
    ListingFile(tmp_path / "streamer-2").write(Listing(trading))
    assert count(["*USDT"]) == 2
    assert count(["*USDT"], streams=1) == 1
    assert count(["*BTC"]) == 1


@pytest.mark.parametrize(
    ("told", "files", "cores"),
    [
        ("0::/a/b\n", {}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "250000 100000\n"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/a\n", {"a/cpu.max": "nothing of ours"}, 8),
        ("4:memory:/a\n3:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "400000"}, 8),
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"},
            4,
        ),
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
            8,
        ),
    ],
)
def test_cores_are_those_that_quotas_leave(
    told: str, files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.write_text(told)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert available_cores(own, tmp_path / "fs", affinity=8) == cores


def test_without_cgroups_the_affinity_counts() -> None:
    assert available_cores(Path("/nowhere"), affinity=6) == 6
    assert available_cores() >= 1


@pytest.mark.parametrize("text", ["0", "65", "x", "2.5", "true", "-1", '""'])
def test_a_number_that_cannot_be_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(Exception, match="expected a number from 1 to 64, or auto"):
        load(None, [f"streamers.count={text}"])


def test_numbers_are_taken_from_every_source(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().streamers.count == 1
    assert load(None, ["streamers.count=3"]).streamers.count == 3
    assert load(None, ["streamers.count=auto"]).streamers.count == "auto"
    monkeypatch.setenv("VIGIL_STREAMERS__COUNT", "4")
    assert load(None).streamers.count == 4


def test_while_records_wait_for_kafka_the_number_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.model_validate({"sink": {"directory": tmp_path}, "streamers": {"count": 3}})
    assert count_in_effect(settings) == 3
    overflow = tmp_path / "overflow"
    overflow.mkdir()
    (overflow / "20261128T000000Z-000001.avro").touch()
    assert count_in_effect(settings) == 1
    assert f"1 until the next start, not 3: records wait for Kafka in {overflow}" in caplog.text


@pytest.mark.parametrize(
    ("in_group", "count", "warned"),
    [(True, "auto", True), (True, 2, False), (False, "auto", False)],
)
def test_in_a_group_an_automatic_number_is_of_the_whole_group_and_warned_of(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    in_group: bool,
    count: int | str,
    warned: bool,
) -> None:
    settings = Settings.model_validate(
        {
            "sink": {"directory": tmp_path, "kind": "kafka"},
            "group": {"enabled": in_group},
            "streamers": {"count": count},
        }
    )
    count_in_effect(settings)
    assert ("of the whole group" in caplog.text) == warned


@pytest.mark.parametrize(
    ("told", "files", "limit"),
    [
        ("0::/a/b\n", {}, math.inf),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/b/memory.high": "max\n"}, math.inf),
        ("0::/a/b\n", {"a/b/memory.max": "800\n", "a/b/memory.high": "600\n"}, 600),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "500\n"}, 500),
        ("7:memory:/a\n", {"memory/a/memory.limit_in_bytes": "700\n"}, 700),
    ],
)
def test_several_that_may_need_more_memory_than_there_is_are_told(
    told: str, files: dict[str, str], limit: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own"
    own.write_text(told)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert available_memory(own, tmp_path / "fs") == limit
    warn_of_memory(1, 450 << 20, limit)
    assert caplog.text == ""
    warn_of_memory(2, 450 << 20, limit)
    assert ("2 may take 990 MiB" in caplog.text) == (limit < math.inf)
