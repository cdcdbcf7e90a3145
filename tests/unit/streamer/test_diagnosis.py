"""What a streamer writes about itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from streamer.diagnosis import Diagnosis
from streamer.memory.heap import arenas, statistics


class Leaked:
    pass


def test_the_second_look_tells_what_has_grown(tmp_path: Path) -> None:
    diagnosis = Diagnosis(lambda: {"librdkafka.json": '{"name": "rdkafka#producer-1"}'})
    assert diagnosis.write(tmp_path, 60.0) == {"looks": 1, "complete": True}
    assert "growth_since_previous_look" not in json.loads((tmp_path / "objects-1.json").read_text())
    leak = [Leaked() for _ in range(3000)]
    assert diagnosis.write(tmp_path, 60.0) == {"looks": 2, "complete": True}
    leak += [Leaked() for _ in range(2000)]
    diagnosis.write(tmp_path, 60.0)
    told = json.loads((tmp_path / "objects-3.json").read_text())
    for since, expected in (("previous", 2000), ("first", 5000)):
        found = {row["type"]: row["count"] for row in told[f"growth_since_{since}_look"]["types"]}
        assert found[f"{__name__}.Leaked"] == expected
    assert json.loads((tmp_path / "librdkafka.json").read_text())["name"] == "rdkafka#producer-1"
    allocator = json.loads((tmp_path / "allocator.json").read_text())
    assert allocator["pymalloc_allocated_blocks"] > 10_000
    assert not (tmp_path / "tracemalloc.txt").exists()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_the_c_librarys_figures_are_those_of_this_process() -> None:
    before = statistics()
    assert before is not None  # glibc is what the tests run on
    block = bytearray(100 << 20)  # large enough for a mapping of its own
    after = statistics()
    assert after is not None
    assert (after["hblkhd"] - before["hblkhd"]) >> 20 == 100
    assert (arenas() or "").startswith('<malloc version="1">')
    assert "</malloc>" in (arenas() or "")
    del block


def test_allocations_are_told_where_they_are_traced(tmp_path: Path) -> None:
    code = (
        "import pathlib\n"
        "from streamer.diagnosis import Diagnosis\n"
        "kept = [bytes(1000) for _ in range(5000)]\n"
        f"Diagnosis(dict).write(pathlib.Path({str(tmp_path)!r}), 60.0)\n"
    )
    subprocess.run([sys.executable, "-X", "tracemalloc", "-c", code], check=True)
    first = (tmp_path / "tracemalloc.txt").read_text().splitlines()[0]
    assert "<string>:3: size=5" in first  # 5 MB
