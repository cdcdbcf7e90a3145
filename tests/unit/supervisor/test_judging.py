"""`judge --against`: exit codes for a gate, a table for people, JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor import checkpoint
from monitor.criteria import Verdict
from supervisor import command_line
from supervisor.commands.judge import as_json
from tests import profiles
from tests.hours import hour
from tests.strict_json import TEXT_READ, nasty_snapshot, parsed


@pytest.fixture
def judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def judge(new: dict[str, Any], old: dict[str, Any], *arguments: str) -> tuple[int, str, str]:
        paths = [tmp_path / name for name in ("new.json", "old.json")]
        for path, document in zip(paths, (new, old), strict=True):
            checkpoint.write(path, document)
        code = command_line.run(["judge", str(paths[0]), "--against", str(paths[1]), *arguments])
        return code, *capsys.readouterr()

    return judge


def test_nothing_is_worse(judged: Any) -> None:
    code, said, _ = judged(hour(2), hour(1))
    assert code == 0
    assert "outcome: pass (nothing is worse)" in said
    assert "cannot tell" not in said


def test_something_is_worse(judged: Any) -> None:
    code, said, _ = judged(hour(2, rss_mib=56.0), hour(1))
    assert code == 3
    (line,) = (one for one in said.splitlines() if one.startswith("memory, MiB"))
    assert line.endswith("  worse")
    assert "outcome: fail (worse: memory)" in said


def test_it_cannot_be_told(judged: Any) -> None:
    code, said, _ = judged(profiles.smoke(), profiles.smoke())
    assert code == 4
    assert "are too few for a slope" in said
    assert "outcome: inconclusive (cannot tell: memory growth" in said


def test_a_verdict_that_is_not_passed_is_told(judged: Any) -> None:
    failed = hour(2, gaps_at=(900,), missing=3)
    code, said, _ = judged(failed, hour(1))
    assert code == 3
    assert "no longer passed: missing ids: fail" in said
    assert "(the verdict now is fail; worse: missing ids" in said


def test_what_was_not_the_same_is_told_and_cut_where_it_is_long(judged: Any) -> None:
    other = json.loads(json.dumps(hour(2)))
    other["environment"] |= {f"key{number:02}": number for number in range(30)}
    _, said, _ = judged(other, hour(1))
    assert "not the same: environment key00: nothing before, 0 now" in said
    assert "… 10 more that is not the same (--json)" in said
    _, said, _ = judged(other, hour(1), "--json")
    assert len(json.loads(said)["caveats"]) == 30


def test_a_program_reads_the_same(judged: Any) -> None:
    code, said, _ = judged(hour(2, rss_mib=56.0), hour(1), "--json")
    found = json.loads(said)
    assert (code, found["outcome"]) == (3, "fail")
    (memory,) = (one for one in found["lines"] if one["name"] == "memory")
    assert memory["change"] == "worse"
    assert memory["difference"]["low"] > memory["margin"]


def test_a_file_that_is_no_profile_is_named(judged: Any, tmp_path: Path) -> None:
    code, _, complaint = judged(hour(1), {"schema_version": 1})
    assert code == 2
    assert "OLD: not a profile" in complaint
    missing = str(tmp_path / "nowhere.json")
    assert command_line.run(["judge", str(tmp_path / "new.json"), "--against", missing]) == 2


def test_a_profile_cannot_steer_the_terminal(judged: Any) -> None:
    other = json.loads(json.dumps(hour(2)))
    other["environment"] = {"host": "\x1b[2J"}
    _, said, _ = judged(other, hour(1))
    assert "\x1b" not in said
    assert "not the same: environment host" in said


def test_online_and_against_exclude_each_other(judged: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        judged(hour(1), hour(1), "--online")
    assert ended.value.code == 2


def test_whatever_a_profile_holds_a_strict_reader_takes_the_answer() -> None:
    criteria = nasty_snapshot().criteria
    told = parsed(as_json(Verdict("fail", criteria)))
    assert told["criteria"][0]["name"] == TEXT_READ
    assert told["criteria"][0]["observed"] is None
