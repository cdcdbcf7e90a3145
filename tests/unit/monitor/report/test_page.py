from __future__ import annotations

import copy
import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from monitor.evidence import DocumentError
from monitor.report import ReportError, render, write_report
from monitor.report.page import page as build
from tests import profiles
from tests.strict_json import VALUES, VALUES_READ, parsed
from tests.unit.monitor.runs import Run

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&%{x}\ud800"


class Reader(HTMLParser):
    """Takes a page apart."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag in ("script", "style")
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, _tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if not self._in_script:
            self.text += data
        elif self.scripts:
            self.scripts[-1] += data


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (profiles.smoke(), ["✓ pass", "Every required criterion passed."]),
        (profiles.leaking_day(5.0), ["✗ fail", "memory growth", "a leak: +5.0 MB/h"]),
        (profiles.stopped_hour(), ["? inconclusive", "stopped by a person"]),
        (profiles.predecessors(), ["? inconclusive", "not recorded"]),
    ],
)
def test_the_verdict_comes_first_and_every_criterion_is_there(
    document: dict[str, Any], words: list[str]
) -> None:
    page = Reader(render(document))
    first = page.text.split("Criteria")[0]
    assert words[0] in first
    for word in words:
        assert word in page.text
    for criterion in document.get("criteria", []):
        assert criterion["name"] in page.text
        assert criterion["expression"] in page.text
        assert criterion["reason"] in page.text


def test_what_held_the_memory_has_a_table() -> None:
    document = copy.deepcopy(profiles.stopped_hour())
    assert "What held the memory" not in Reader(render(document)).text  # as profiles were before
    (process,) = document["streamers"][0]["generations"]
    sizes = dict(zip(("first", "highest", "last"), (1 << 20, 7 << 20, 3 << 20), strict=True))
    parts = {f"{name}_bytes": size for name, size in sizes.items()}
    process["memory_parts"] = {
        "free_heap": {**parts, "limit_bytes": 32 << 20},
        NASTY: {**parts, "first_bytes": None, "limit_bytes": None},
    }
    text = Reader(render(document)).text
    assert "free heap1 MiB7 MiB3 MiB32 MiB" in text
    assert "–7 MiB3 MiB–" in text


def nasty() -> dict[str, Any]:
    """Return a profile whose every text is an attack, keys of its own included."""
    document = copy.deepcopy(profiles.stopped_hour())
    raw = json.dumps(document)
    for word in ("BTCUSDT", "reset by peer", "slot-1", "streamer-1", "24h", "test"):
        raw = raw.replace(f'"{word}"', json.dumps(NASTY + word))
    raw = raw.replace("trade:BTCUSDT", json.dumps(f"trade:{NASTY}BTCUSDT")[1:-1])
    changed: dict[str, Any] = json.loads(raw)
    changed["test_metadata"]["start_time"] = document["test_metadata"]["start_time"]
    return changed


def test_whatever_a_profile_holds_stays_text() -> None:
    clean, page = Reader(render(profiles.stopped_hour())), Reader(render(nasty()))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in clean.tags]
    assert len(page.scripts) == 3
    assert "<img src=x onerror=alert(2)>" in page.text  # told, as text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_charts_show_what_a_profile_holds_as_text_too() -> None:
    page = Reader(render(nasty()))
    figures = json.loads(page.scripts[0])["figures"]
    drawn = json.dumps(figures)
    assert "alert(1)" in drawn
    assert "<script" not in drawn
    assert "<img" not in drawn
    templates = [one for figure in figures.values() for one in figure["data"]]
    assert not any("alert" in one.get("hovertemplate", "") for one in templates)


def test_nothing_outside_of_the_file_is_referred_to() -> None:
    page = Reader(render(profiles.stopped_hour()))
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not {"src", "href", "srcset", "action"} & set(attributes), (tag, attributes)
    (policy,) = [each["content"] for _, each in page.tags if "http-equiv" in each]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert not re.search(r"https?://", page.scripts[2])


def test_a_run_of_which_nothing_was_seen_has_a_report() -> None:
    run = Run(profiles.PROFILES["smoke"]).end("stopped")
    assert "? inconclusive" in Reader(render(run.document())).text


def test_a_restarted_run_shows_both_processes() -> None:
    document = copy.deepcopy(profiles.smoke())
    generations = document["streamers"][0]["generations"]
    generations.append({**copy.deepcopy(generations[0]), "generation": 2})
    figure = json.loads(Reader(render(document)).scripts[0])["figures"]["memory"]
    names = [one["name"] for one in figure["data"] if "name" in one]
    assert "RSS, streamer-1 generation 1" in names
    assert "RSS, streamer-1 generation 2" in names


def test_a_report_is_written_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(profiles.smoke(), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"<!doctype html>")
    assert path.stat().st_size < 6e6
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_or_is_no_profile_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(profiles.smoke(), tmp_path / "absent" / "report.html")
    with pytest.raises(DocumentError):
        write_report({}, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_the_charts_cannot_end_their_script() -> None:
    data = {"name": NASTY[:-1]}
    page = Reader(build("title", [], data, "// library"))
    assert len(page.scripts) == 3
    assert json.loads(page.scripts[0]) == data


def test_the_data_of_the_charts_is_taken_by_a_strict_reader() -> None:
    page = Reader(build("title", [], VALUES, "// library"))
    assert parsed(page.scripts[0]) == VALUES_READ
