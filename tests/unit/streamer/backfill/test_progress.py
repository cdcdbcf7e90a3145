from __future__ import annotations

import io

from streamer.backfill.progress import Progress


def shown(*, is_terminal: bool) -> str:
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, is_terminal=is_terminal, clock=lambda: now[0])
    progress.begin("trade BTCUSDT", 100_000)
    for _ in range(30):
        now[0] += 1.0
        progress.count(1000)
    progress.say("done")
    progress.begin("read what is there")
    now[0] += 20.0
    progress.count(7)
    return stream.getvalue()


def test_plain_lines_come_now_and_then():
    assert shown(is_terminal=False).splitlines() == [
        "trade BTCUSDT: 10,000 of 100,000 ids, 1,000 a second, 1 min left",
        "trade BTCUSDT: 20,000 of 100,000 ids, 1,000 a second, 1 min left",
        "trade BTCUSDT: 30,000 of 100,000 ids, 1,000 a second, 1 min left",
        "done",
        "read what is there: 7 ids, 0 a second",
    ]


def test_a_terminal_has_one_line_that_is_written_again():
    text = shown(is_terminal=True)
    assert text.count("\r\x1b[K") == 30 + 1 + 1
    assert "\r\x1b[Kdone\n" in text
