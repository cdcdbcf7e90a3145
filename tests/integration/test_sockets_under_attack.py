"""Every socket under attack for a minute, by our own user and by another: the feed goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import psutil
import pytest

from tests.audit import audit_files
from tests.exchange import Exchange
from tests.integration.test_supervised_streamer import start
from tests.ports import free_port
from tests.streaming import ROOT

RATE = 300  # trades a second in all
SECONDS = 60.0
CLIENTS_MOST = 16 + 64 + 128  # control, metrics, and a backlog that asyncio takes at once
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


class Watch:
    """What is seen of a supervisor and its streamer while something goes on."""

    def __init__(self, vigil, port):
        self.supervisor = psutil.Process(vigil.process.pid)
        self.streamer = vigil.streamer()
        self.port = port
        self.scrapes = self.scraped = 0

    def status(self):
        self.scrapes += 1
        with suppress(OSError, ValueError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=5) as page:
                found = json.load(page)
            self.scraped += 1
            return found
        return None

    def events(self):
        """Return when it was asked and how many events had come by then."""
        while (status := self.status()) is None:
            time.sleep(0.1)
        [one] = status["streamers"]
        return time.monotonic(), sum(stream["events_total"] for stream in one["streams"])

    def over(self, seconds):
        """Return the rate over so many seconds, the most descriptors and the most threads."""
        began, first = self.events()
        descriptors = threads = 0
        while time.monotonic() < began + seconds:
            descriptors = max(descriptors, self.supervisor.num_fds())
            threads = max(threads, self.supervisor.num_threads())
            self.status()
            time.sleep(0.5)
        ended, last = self.events()
        return (last - first) / (ended - began), descriptors, threads


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("user", ["own", "another"])
def test_the_feed_goes_on(vigil, user):
    if user == "another" and (os.getuid() or not shutil.which("setpriv")):
        pytest.skip("needs root and setpriv to be another user")
    port = free_port()
    with Exchange(vigil.directory, rate=RATE) as exchange:
        address = {"monitor__metrics_address": f"127.0.0.1:{port}"}
        start(vigil, exchange, "run", supervisor__report_every=5, **address)
        vigil.until_logged("generation 1 reports")
        watch = Watch(vigil, port)
        vigil.until(lambda: watch.events()[1] > RATE)  # what is only at the beginning is over
        rate, descriptors, threads = watch.over(SECONDS / 2)
        watch.scrapes = watch.scraped = 0
        attack = subprocess.Popen(
            [
                *(NOBODY if user == "another" else ()),
                sys.executable,
                "-m",
                "tests.socket_attack",
                str(vigil.directory / "run"),
                str(port),
                str(SECONDS + 5),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        attacked_rate, most_descriptors, most_threads = watch.over(SECONDS)
        done = json.loads(attack.communicate(timeout=60)[0])
        scraped = watch.scraped / watch.scrapes
        # A command's and a request's deadline have to pass.
        vigil.until(lambda: watch.supervisor.num_fds() <= descriptors + 5)
        _, descriptors_after, threads_after = watch.over(2.0)
        print(
            f"\n{user}: {rate:.1f} events/s before, {attacked_rate:.1f} under attack; descriptors "
            f"{descriptors}, {most_descriptors}, {descriptors_after}; threads {threads}, "
            f"{most_threads}, {threads_after}; {scraped:.0%} of scrapes answered; {done}"
        )
        assert attacked_rate > 0.97 * rate
        assert most_descriptors <= descriptors + CLIENTS_MOST + 200  # of the telemetry: 2 s each
        assert descriptors_after <= descriptors + 5
        assert most_threads <= threads + 2
        assert threads_after <= threads
        assert watch.streamer == vigil.streamer(), "it was restarted"
        assert "rotated" not in vigil.log.read_text()
        vigil.process.send_signal(signal.SIGTERM)
        assert vigil.exit_code() == 0
        for symbol in exchange.symbols:
            assert audit_files(exchange, vigil.directory / "records", "trade", symbol).clean
        # Something was attacked indeed.
        assert all(done[f"metrics {how}"] > 10 for how in ("garbage", "unread", "reset"))
        if user == "another":
            assert done["control garbage: not permitted"] > 10
            assert done["telemetry garbage: not permitted"] > 10
        else:
            assert done["control garbage"] > 10
            assert done["telemetry garbage"] + done.get("telemetry garbage: refused", 0) > 10
            assert done["telemetry impersonate"] > 10
