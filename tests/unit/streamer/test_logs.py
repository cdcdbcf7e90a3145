import json
import logging
import os
from types import SimpleNamespace

import pytest

from streamer import logs


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = before[0], before[2]
    root.setLevel(before[1])


def say():
    log = logging.getLogger("streamer.test")
    log.info("%d of %d", 1, 2, extra={"symbol": "BTCUSDT", "where": {"a": 1}})
    log.debug("not asked for")
    try:
        int("wrong")
    except ValueError:
        log.exception("it failed")


def test_lines_for_people(capsys):
    logs.configure("console", "info")
    say()
    first, second, *traceback = capsys.readouterr().err.splitlines()
    assert first.endswith("Z info    streamer.test: 1 of 2 symbol=BTCUSDT where={'a': 1}")
    assert second.endswith("Z error   streamer.test: it failed")
    assert traceback[0] == "  Traceback (most recent call last):"
    assert traceback[-1].startswith("  ValueError: invalid literal")


def test_objects_for_machines(capsys):
    logs.configure("json", "info")
    say()
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "streamer.test",
        "event": "1 of 2",
        "symbol": "BTCUSDT",
        "where": {"a": 1},
    }
    assert "ValueError: invalid literal" in second["exception"]


def test_what_json_cannot_hold_is_said_as_text(capsys):
    logs.configure("json", "info")
    logging.getLogger("streamer.test").info("x", extra={"odd": ValueError("y")})
    assert json.loads(capsys.readouterr().err)["odd"] == "y"


HOSTILE = "a\x1b]0;title\x07\n2026-01-01T00:00:00Z error   streamer.feed: forged\x9b1m\u202e\ud800"


def say_hostile():
    log = logging.getLogger("streamer.test")
    log.warning("closed: %s", HOSTILE, extra={"name_of_it": HOSTILE, "many": {HOSTILE: [HOSTILE]}})
    log.warning("%s", "x" * 1_000_000)
    try:
        int(f"{HOSTILE * 10_000}\n" + "more\n" * 100_000)
    except ValueError:
        log.exception("it failed")


def test_foreign_text_steers_no_terminal_and_forges_no_line(capsys):
    logs.configure("console", "info")
    say_hostile()
    text = capsys.readouterr().err
    assert all(line.isprintable() for line in text.split("\n"))
    first, second, third, *traceback, end = text.split("\n")
    assert r"closed: a\x1b]0;title\x07\n2026-01-01T00:00:00Z error" in first
    assert "name_of_it=a\\x1b]0;" in first
    assert second.endswith("… (995904 more characters)")
    assert len(second) < 4300
    assert third.endswith("it failed")
    assert all(line.startswith("  ") for line in traceback)
    assert traceback[0] == "  Traceback (most recent call last):"
    assert sum(map(len, traceback)) < 40_000
    assert end == ""


def test_foreign_text_in_json_is_printable_when_decoded(capsys):
    logs.configure("json", "info")
    say_hostile()
    first, second, third = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["event"].isprintable()
    assert first["name_of_it"].isprintable()
    ((key, (value,)),) = first["many"].items()
    assert key.isprintable()
    assert value.isprintable()
    assert len(second["event"]) < 4300
    assert all(line.isprintable() for line in third["exception"].split("\n"))
    assert len(third["exception"]) < 20_000


def test_what_is_said_of_foreign_input_is_counted_when_it_repeats(capsys, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logs.RepeatFilter.__init__, "__defaults__", (lambda: now[0],))
    logs.configure("console", "info")
    logs.keep_recent(tmp_path / "recent.log")
    network = logging.getLogger("streamer.network.connection_log")
    for number in range(72):
        network.warning("slot-%d: no connection: %s", number, HOSTILE)
        logging.getLogger("streamer.feed").warning("our own")
        network.info("not a warning")
    now[0] += 30.0
    network.warning("slot-1: no connection: %s", HOSTILE)
    kept = (tmp_path / "recent.log.1").read_text() if (tmp_path / "recent.log.1").exists() else ""
    for text in (capsys.readouterr().err, kept + (tmp_path / "recent.log").read_text()):
        told = [line for line in text.splitlines() if "no connection" in line]
        assert len(told) == 2
        assert "not_logged" not in told[0]
        assert told[1].endswith(" not_logged=71")
        assert text.count("our own") == text.count("not a warning") == 72


def test_every_gap_is_told_but_not_without_a_bound(capsys):
    logs.configure("console", "info")
    for number in range(90):
        logging.getLogger("streamer.ingest.gap_records").warning("gap: from %d", number)
        logging.getLogger("streamer.repair.backfiller").info("suspected gap: from %d", number)
    assert capsys.readouterr().err.count("gap: from") == 180
    for number in range(10_000):
        logging.getLogger("streamer.ingest.gap_records").warning("gap: from %d", number)
    assert capsys.readouterr().err.count("gap: from") < 1000
    logging.getLogger("streamer.network.connection_log").warning("another matter")
    assert "another matter" in capsys.readouterr().err


def test_a_closed_stderr_costs_the_line_only(monkeypatch):
    class Closed:
        def write(self, text):
            raise ValueError("I/O operation on closed file")

    logs.configure("console", "info")
    monkeypatch.setattr("sys.stderr", Closed())
    logging.getLogger("streamer.test").info("nobody hears")


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Stand in for the journal: a file, which JOURNAL_STREAM names as systemd would."""
    path = tmp_path / "journal"
    stderr = path.open("w")
    found = os.fstat(stderr.fileno())
    monkeypatch.setattr(os, "fstat", lambda number: found)
    monkeypatch.setattr(logs, "sys", SimpleNamespace(stderr=stderr))
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    yield path
    stderr.close()


def test_the_journal_is_told_the_level_of_each_line(journal):
    logs.configure("console", "debug")
    logging.getLogger("streamer.test").critical("now")
    logging.getLogger("streamer.test").warning("soon")
    say()
    lines = journal.read_text().splitlines()
    assert [line[:3] for line in lines[:5]] == ["<2>", "<4>", "<6>", "<7>", "<3>"]
    assert {line[:3] for line in lines[5:]} == {"<3>"}  # the traceback
    assert logs.priority_prefix(logging.ERROR) == "<3>"


@pytest.mark.parametrize("stream", ["1:2", "", None])
def test_no_levels_are_told_where_stderr_is_no_journal(stream, journal, monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM")
    if stream is not None:
        monkeypatch.setenv("JOURNAL_STREAM", stream)
    logs.configure("json", "info")
    say()
    assert all(line.startswith("{") for line in journal.read_text().splitlines())
    assert logs.priority_prefix(logging.ERROR) == ""


def test_the_last_lines_are_kept_in_a_bounded_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "RECENT_BYTES", 1000)
    logs.configure("json", "info")
    logs.keep_recent(tmp_path / "recent.log")
    for number in range(100):
        logging.getLogger("streamer.test").info("line %d", number)
    files = sorted(tmp_path.iterdir())
    assert [one.name for one in files] == ["recent.log", "recent.log.1"]
    assert all(one.stat().st_size <= 1000 for one in files)
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}
    lines = (files[1].read_text() + files[0].read_text()).splitlines()
    assert lines[-1].endswith("Z info    streamer.test: line 99")
    assert len(lines) > 10
    logs.configure("json", "info")


def test_a_place_that_cannot_be_written_costs_no_start(capsys, tmp_path):
    logs.configure("console", "info")
    logs.keep_recent(tmp_path / "nowhere" / "recent.log")
    assert "no lines are kept: No such file" in capsys.readouterr().err
