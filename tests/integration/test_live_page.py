"""The live page in a real browser: what it shows, how soon, and that it comes back."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from monitor.live import feed
from monitor.snapshot import Snapshot
from monitor.web import event_streams
from monitor.web.event_streams import EVENT_STREAMS_MAX
from monitor.web.server import MetricsServer
from streamer.messages import Backfill, Notice
from tests import live_scenes
from tests.browser import Page, browser
from tests.ports import free_port
from tests.prefix_proxy import PREFIX, prefix_proxy
from tests.strict_json import TEXT_READ, nasty_snapshot
from tests.supervising import Supervised
from tests.unit.monitor.observations import EPOCH
from tests.unit.monitor.runs import Run
from tests.waiting import eventually

DESKTOP, PHONE = 1100, 375  # CSS pixels; a small phone
CONNECTION = "document.querySelector('#connection')?.innerText"
SHOWN = f"{CONNECTION}.startsWith('Live')"
STATES = "[...document.querySelectorAll('#stream-rows tr')].map(one => one.innerText)"
EVENTS = "document.querySelector('#event-rows').innerText"
CLOCK = "{ let at = Date.now(); Date.now = () => at; window.later = (ms) => { at += ms; }; }"
"""The page's clock stands still but for `later`."""
NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def stopped_clock(page: Page, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the page see time pass only by the test: see `CLOCK`.

    A supervisor publishes each second, a test once: on a busy machine the page would come to say,
    rightly, that the supervisor tells nothing.
    """
    # A stream without news tells their age by the server's clock.
    monkeypatch.setattr(event_streams, "KEEP_ALIVE_SECONDS", 3600.0)
    with page.before_each_document(CLOCK):
        yield


@pytest.fixture
def server(page: Page, stopped_clock: None) -> Iterator[MetricsServer]:
    server = MetricsServer("127.0.0.1:0")
    server.start()
    yield server
    leave(page)
    server.close()


def leave(page: Page) -> None:
    """Leave the page before its server ends, which it would complain of in the next test."""
    page.show("about:blank", width=DESKTOP)
    page.wait_for("location.href === 'about:blank'")


def url(server: MetricsServer) -> str:
    host, port = server.address
    return f"http://{host}:{port}/"


def text(page: Page, selector: str) -> str:
    found: str = page.value(f"document.querySelector({selector!r}).innerText")
    return found


SCENES: dict[str, tuple[Callable[[], Snapshot], str]] = {
    "healthy": (lambda: live_scenes.healthy(0.1), "Verdict so far: ✓ nothing failed"),
    "silent": (lambda: live_scenes.silent_symbol(0.1), "Not ready"),
    "kafka": (lambda: live_scenes.kafka_away(0.1), "Not ready"),
    "leak": (lambda: live_scenes.shown_leak(live_scenes.healthy(0.1)), "Verdict so far"),
}


@pytest.mark.parametrize("scene", SCENES)
def test_it_is_shown_and_fits(page: Page, server: MetricsServer, scene: str) -> None:
    make, headline = SCENES[scene]
    server.publish(make())
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    page.wait_for("document.querySelectorAll('.chart > svg text').length >= 5")
    assert headline in text(page, "h1")
    for width, dark in ((DESKTOP, True), (PHONE, True), (PHONE, False)):
        page.screen(width)
        page.scheme(dark=dark)
        page.wait_for(f"innerWidth === {width}")
        assert_fits(page)
        ground = page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
        assert (sum(map(int, ground)) < 3 * 128) == dark
    assert page.complaints == []
    assert all(one.startswith(url(server)) for one in page.requested)  # of nobody else


def assert_fits(page: Page) -> None:
    scrolled, visible = page.value("[document.documentElement.scrollWidth, innerWidth]")
    assert scrolled <= visible
    cut_off = page.value(
        "[...document.querySelectorAll('section, td, th, dd, li, p:not(.unseen), h1, h2')]"
        ".filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth !== 0)"
        ".map(one => one.outerHTML.slice(0, 200))"
    )
    assert cut_off == []


def test_whatever_is_told_the_browser_reads_it(page: Page, server: MetricsServer) -> None:
    server.publish(nasty_snapshot())
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    page.wait_for(f"{EVENTS}.includes('币')")
    page.value(
        "for (const path of ['status', 'streams']) void fetch(path).then((one) => one.text())"
        ".then((text) => { window[`told_${path}`] = JSON.parse(text); })"
    )
    page.wait_for("window.told_status?.events_per_second === null")
    page.wait_for("window.told_streams?.rows.length === 2")
    assert page.value("told_status.profile") == TEXT_READ
    assert page.complaints == []


def test_what_is_wrong_is_said_in_words(page: Page, server: MetricsServer) -> None:
    server.publish(live_scenes.silent_symbol(0.1))
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    assert "streamer-1: silent: ETHUSDT trade" in text(page, "#reasons")
    assert "✗ silent" in page.value(STATES)[0]
    assert page.value(STATES)[0].startswith("ETHUSDT trade")
    page.wait_for(f"{EVENTS}.includes('rotate (silence)')")
    server.publish(live_scenes.kafka_away(0.1))
    page.wait_for("document.querySelector('#reasons').innerText.includes('nothing is stored')")
    sink = page.value("document.querySelectorAll('.streamer dl')[2].innerText")
    assert "99,840, 9.1 MiB" in sink  # of the overflow
    assert "0:04:00" in sink
    server.publish(live_scenes.shown_leak(live_scenes.healthy(0.1)))
    page.wait_for("document.querySelector('.leak').innerText.includes('+12.0 MB/h')")
    page.wait_for("document.querySelectorAll('.chart .floor').length >= 30")
    assert page.value("document.querySelectorAll('.chart .trend, .chart .interval').length") == 2
    assert "trend 12 MiB an hour; ceiling 450 MiB" in page.value(
        "document.querySelector('.chart > svg').getAttribute('aria-label')"
    )
    assert page.value("document.querySelectorAll('.chart .ceiling').length") == 0
    page.value("document.querySelector('.streamer button').click()")
    assert page.value("document.querySelectorAll('.chart .ceiling').length") == 1
    page.value("document.querySelector('#judgement').open = true")
    assert "growth of the floor" in text(page, "#criteria")
    assert page.complaints == []


def test_several_streamers_are_told_apart_and_a_back_fill_tells_its_end(
    page: Page, server: MetricsServer
) -> None:
    snapshot = live_scenes.silent_symbol(0.1)
    (one,) = snapshot.streamers
    assert one.report is not None

    def publish(second: int, ids_left: int) -> None:
        report = msgspec.structs.replace(
            one.report, backfill=Backfill(1, ids_left, 1000 - ids_left)
        )
        both = (one, replace(one, name="streamer-2", report=report))
        server.publish(replace(snapshot, streamers=both, time=snapshot.time + second))

    publish(0, 900)
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    assert page.value("[...document.querySelectorAll('.streamer')].map(e => e.ariaLabel)") == [
        "streamer-1",
        "streamer-2",
    ]
    assert [row.split("\t")[0] for row in page.value(STATES)[:2]] == [
        "ETHUSDT trade, streamer-1",
        "ETHUSDT trade, streamer-2",
    ]
    lists = "[...document.querySelectorAll('.streamer')].map(one => one.querySelectorAll('dl')[1])"
    facts = f"{lists}.map(one => one.innerText)"
    assert "no gap is open" in page.value(facts)[0]
    assert "1 gap, 900 ids left, 10 % done" in page.value(facts)[1]
    # Where nothing is laid out, nothing is drawn, and nothing complained of.
    page.value("document.querySelector('#streamers').style.display = 'none'")
    publish(10, 800)
    page.wait_for(f"{facts}[1].includes('1 gap, 800 ids left, 20 % done, about 80 s more')")
    assert page.complaints == []


def test_text_of_others_is_only_text(page: Page, server: MetricsServer) -> None:
    notice = Notice(1, EPOCH, "warning", {"message": NASTY})
    run = Run(None).seconds(2, lambda _: {"notices": (notice,)})
    snapshot = run.recorder.snapshot(run.now, EPOCH)
    (streamer,) = snapshot.streamers
    assert streamer.report is not None
    counts = msgspec.structs.replace(streamer.report.streams[0], symbol=NASTY)
    report = msgspec.structs.replace(streamer.report, streams=(counts,))
    named = replace(streamer.streams[0], symbol=NASTY)
    streamer = replace(streamer, name=NASTY, report=report, streams=(named,))
    server.publish(replace(snapshot, streamers=(streamer,), profile=NASTY))
    page.show(url(server), width=PHONE)
    page.wait_for(f"{EVENTS}.includes('onerror')")
    for selector in ("#stream-rows", "#streamers", "#run"):
        assert NASTY in text(page, selector)
    assert page.value("document.querySelectorAll('img, body script').length") == 0
    assert page.complaints == []
    # Nor could a mistake of ours make markup of it: the policy forbids it.
    assert page.value(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'made'; }"
        " catch (error) { return error.name; } })()"
    ) == ("TypeError")


def test_a_host_of_a_stranger_is_refused(page: Page, server: MetricsServer) -> None:
    server.publish(live_scenes.silent_symbol(0.01))
    page.show(f"http://evil.example:{server.address[1]}/", width=DESKTOP)
    assert "is not allowed" in text(page, "body")
    assert "Streams" not in text(page, "body")


def test_it_works_below_a_prefix_as_it_comes(page: Page, server: MetricsServer) -> None:
    server.publish(live_scenes.many_streams(300))
    with prefix_proxy(*server.address) as at:
        page.show(at, width=DESKTOP)
        page.wait_for(SHOWN)
        server.publish(live_scenes.many_streams(300, silent="S0042USDT"))
        page.wait_for(f"{STATES}[0].includes('silent')")
        page.value("document.querySelector('#all').click()")
        page.wait_for("document.querySelector('#page').innerText === 'page 1 of 6'")
        assert page.complaints == []
        assert {one.split("?")[0].removeprefix(at) for one in page.requested} == {
            "",
            "page.css",
            "live.css",
            "live.js",
            "icon.svg",
            "events",
            "streams",
        }
        assert PREFIX in at


def test_4500_streams_are_searched_sorted_and_paged(page: Page, server: MetricsServer) -> None:
    server.publish(live_scenes.many_streams(4500, silent="S0007USDT"))
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    assert len(page.value(STATES)) == 15
    assert text(page, "#found") == "The worst 15 of 4,500 streams."
    assert [one.split()[0] for one in page.value(STATES)[:3]] == ["S0007USDT"] * 3
    type_into(page, "1234 book")
    page.wait_for("document.querySelector('#found').innerText === '1 of 4,500 streams.'")
    assert page.value(STATES)[0].startswith("S1234USDT bookTicker")
    type_into(page, "silent")
    page.wait_for("document.querySelector('#found').innerText === '3 of 4,500 streams.'")
    type_into(page, "")
    choose(page, "name")
    page.wait_for("document.querySelector('#page').innerText === 'page 1 of 90'")
    page.value("document.querySelector('#next').click()")
    page.wait_for("document.querySelector('#page').innerText === 'page 2 of 90'")
    assert page.value(STATES)[0].startswith("S0016USDT trade")
    choose(page, "worst")
    page.wait_for(f"{STATES}.length === 15")
    assert page.value("document.querySelector('#pages').hidden")
    assert page.complaints == []


def type_into(page: Page, search: str) -> None:
    page.value(
        f"(() => {{ const field = document.querySelector('#search'); field.value = {search!r};"
        " field.dispatchEvent(new Event('input')); })()"
    )


def choose(page: Page, order: str) -> None:
    page.value(
        f"(() => {{ const field = document.querySelector('#sort'); field.value = {order!r};"
        " field.dispatchEvent(new Event('change')); })()"
    )


def test_it_is_used_by_keyboard(page: Page, server: MetricsServer) -> None:
    server.publish(live_scenes.many_streams(300))
    page.show(url(server), width=DESKTOP)
    page.scheme(dark=False, still=True)
    page.wait_for(SHOWN)
    page.value("document.activeElement.blur()")
    visited = []
    while len(visited) < 30:
        page.press("Tab")
        if page.value("document.activeElement === document.body"):
            break  # it was the last one
        visited.append(page.value("document.activeElement.id || document.activeElement.className"))
        outline = page.value("getComputedStyle(document.activeElement).outlineStyle")
        assert outline not in ("none", ""), f"{visited[-1]}: focus is not to be seen"
        if visited[-1] == "all":
            page.press("Enter", "\r")
            page.wait_for("document.querySelector('#page').innerText === 'page 1 of 6'")
    assert visited[0] == "skip"
    assert [one for one in visited if one in ("search", "sort", "all", "next")] == [
        "search",
        "sort",
        "all",
        "next",
    ]
    assert "event-log" in visited  # it scrolls
    assert page.value("getComputedStyle(document.querySelector('header')).transitionDuration") == (
        "0s"
    )


def test_a_screen_reader_is_told_what_happens_and_no_figures(
    page: Page, server: MetricsServer
) -> None:
    server.publish(live_scenes.healthy(0.1))
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {
        (one["role"]["value"], one.get("name", {}).get("value", ""))
        for one in nodes
        if not one["ignored"]
    }
    assert {
        ("main", ""),
        ("heading", "Verdict so far: ✓ nothing failed"),
        ("heading", "Streams"),
        ("region", "Streams"),
        ("region", "streamer-1"),
        ("search", ""),
        ("searchbox", "Search"),
        ("columnheader", "per second"),
        ("rowheader", "BTCUSDT trade"),
        ("log", "Events"),
    } <= named
    page.call("Accessibility.disable")
    page.wait_for("document.querySelector('#event-log').ariaLive === 'polite'")
    live = page.value("[...document.querySelectorAll('[aria-live], [role=status]')].map(e => e.id)")
    assert live == ["said", "found", "event-log"]
    # Whatever is said aloud is kept; a second with other figures adds nothing.
    page.value(
        "window.heard = []; new MutationObserver(() => heard.push("
        "document.querySelector('#said').textContent + document.querySelector('#found').textContent"
        ")).observe(document.querySelector('#said'), {childList: true, characterData: true});"
        "new MutationObserver(() => heard.push('found')).observe("
        "document.querySelector('#found'), {childList: true, characterData: true})"
    )
    scene = live_scenes.healthy(0.11)
    server.publish(scene)
    page.wait_for("document.querySelector('#figures').innerText.includes('0:06:36')")
    assert page.value("heard") == []
    (streamer,) = scene.streamers
    server.publish(replace(scene, streamers=(replace(streamer, up=False, exit_code=-9),)))
    page.wait_for("heard.length > 0")
    assert "its process is not running" in page.value("heard[0]")
    assert page.complaints == []


@pytest.mark.usefixtures("stopped_clock")
def test_a_lost_connection_is_said_and_comes_back_with_another_service(page: Page) -> None:
    address = f"127.0.0.1:{free_port()}"
    first = MetricsServer(address)
    first.start()
    first.publish(live_scenes.silent_symbol(0.1))
    page.show(f"http://{address}/", width=DESKTOP)
    page.wait_for(SHOWN)
    page.wait_for(f"{EVENTS}.includes('rotate (silence)')")
    first.close()
    page.wait_for(f"{CONNECTION}.startsWith('Connection lost')")
    assert "What is shown is of 2" in text(page, "#connection")
    assert page.value("document.body.classList.contains('stale')")
    assert text(page, "#said").startswith("Connection lost")
    second = MetricsServer(address)
    second.start()
    try:
        second.publish(replace(live_scenes.healthy(0.1), started=EPOCH + 5))
        page.wait_for(SHOWN)
        page.wait_for(f"!{EVENTS}.includes('rotate (silence)')")  # of the one before
        assert "launched" in page.value(EVENTS)
        assert "Verdict so far" in text(page, "h1")
        assert not page.value("document.body.classList.contains('stale')")
    finally:
        leave(page)
        second.close()


def test_where_no_stream_is_free_it_is_tried_again(page: Page, server: MetricsServer) -> None:
    server.publish(live_scenes.silent_symbol(0.01))
    with ExitStack() as others:
        for _ in range(EVENT_STREAMS_MAX):
            other = others.enter_context(socket.create_connection(server.address, timeout=10))
            other.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200")
        page.show(url(server), width=DESKTOP)
        page.wait_for(f"{CONNECTION}.startsWith('Connection l')")
    # Not by the watch over connections of which nothing is heard: its clock stands still.
    page.wait_for(SHOWN)


def test_a_page_of_another_version_loads_itself_anew(
    page: Page, server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(live_scenes.silent_symbol(0.01))
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    page.value("window.old = true")
    monkeypatch.setattr(feed, "_version", lambda: "9.9.9")
    server.publish(live_scenes.silent_symbol(0.01))
    page.wait_for(f"window.old === undefined && {SHOWN}")
    assert "9.9.9" in text(page, "#own")


def test_a_tab_that_nobody_sees_gives_its_connection_back(
    page: Page, server: MetricsServer
) -> None:
    server.publish(live_scenes.silent_symbol(0.01))
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    for hidden, streams in ((True, 0), (False, 1)):
        page.value(
            f"Object.defineProperty(document, 'hidden', {{value: {str(hidden).lower()},"
            " configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
        )
        eventually(lambda streams=streams: server._counts.event_streams == streams)
    assert page.complaints == []


def test_a_loop_that_hangs_is_said(page: Page, server: MetricsServer) -> None:
    server.publish(live_scenes.silent_symbol(0.01))
    page.show(url(server), width=DESKTOP)
    page.wait_for(SHOWN)
    page.value("later(5000)")
    page.value("tell()")
    assert text(page, "#connection").startswith("Live")
    page.value("later(1)")
    page.wait_for(f"{CONNECTION}.startsWith('Connected, but the supervisor tells nothing.')")
    server.publish(live_scenes.silent_symbol(0.01))
    page.wait_for(SHOWN)


def test_a_silent_symbol_is_seen_within_two_seconds_and_a_restart_is_survived(
    page: Page, vigil: Supervised
) -> None:
    port = free_port()
    settings = {
        "monitor.metrics_address": f"127.0.0.1:{port}",
        "connection.stale_after": 1.5,
        "exchange.symbols": ["BTCUSDT", "ETHUSDT"],
    }
    process = vigil.start("falls_silent", "run", settings=settings)
    vigil.until_logged("generation 1 reports")
    page.show(f"http://127.0.0.1:{port}/", width=DESKTOP)
    page.wait_for(SHOWN)
    page.wait_for(f"{STATES}.length === 2")
    # When the fault is to be seen; and, asked for apart, when states are made, and are there.
    page.value(
        "window.seen = null; window.looks = [];"
        "new MutationObserver(() => { const log = document.querySelector('#event-rows');"
        " if (seen === null && log.innerText.includes('rotate (silence)')) seen = Date.now() / 1000"
        "}).observe(document.querySelector('#event-rows'), {childList: true});"
        "window.looking = setInterval(async () => {"
        " const told = await (await fetch('status')).json();"
        " looks.push([Date.parse(told.time) / 1000, Date.now() / 1000]) }, 200)"
    )
    Path(vigil.directory, "silence").touch()
    page.wait_for("seen !== null")
    page.wait_for(f"{STATES}[0].includes('✗ silent')")
    seen, looks = page.value("[seen, looks, clearInterval(looking)]")[:2]
    fired = page.value(
        "[...document.querySelectorAll('#event-rows li')].filter(one => one.innerText.includes("
        "'rotate (silence)')).map(one => Date.parse(one.querySelector('time').dateTime) / 1000)[0]"
    )
    # How late a busy machine was meanwhile: states are made a second apart and looked at soon.
    slow = [(made - before, at - looked) for (before, looked), (made, at) in pairwise(looks)]
    delays = max(made for made, _ in slow) - 1.1, max(at for _, at in slow) - 0.4
    late = sum(max(one, 0.0) for one in delays)  # what is made late is looked at late, too
    print(f"\nfired to seen {seen - fired:.2f} s, the machine was late by {late:.2f} s")
    assert seen - fired <= 2.0 + late
    assert page.complaints == []
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
    page.wait_for(f"{CONNECTION}.startsWith('Connection lost')")
    Path(vigil.directory, "silence").unlink()
    process = vigil.start("falls_silent", "run", settings=settings)
    page.wait_for(SHOWN)
    page.wait_for(f"{STATES}.length === 2 && {STATES}.every(one => one.includes('ok'))")
    leave(page)
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
