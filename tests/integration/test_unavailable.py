"""A symbol that the exchange does not know, and a name that it refuses, beside good ones."""

from __future__ import annotations

import signal
import urllib.request

from tests.audit import audit_files
from tests.exchange import Exchange
from tests.integration.test_supervised_streamer import records, start
from tests.ports import free_port


def test_neighbours_are_complete_and_nothing_rotates(vigil):
    refusing = ("--refused-streams", "bnbusdt@trade")
    with Exchange(vigil.directory, rate=100, extra=refusing) as exchange:
        address = f"127.0.0.1:{free_port()}"
        process = start(
            vigil, exchange, "run",
            exchange__symbols=",".join([*exchange.symbols, "GONEUSDT"]),
            connection__stale_after="2s",
            monitor__metrics_address=address,
        )  # fmt: skip

        def page(name):
            with urllib.request.urlopen(f"http://{address}/{name}", timeout=60) as answer:
                return answer.read().decode()

        vigil.until_logged("bnbusdt@trade cannot be subscribed")
        vigil.until_logged("does not know the symbol GONEUSDT")
        vigil.until(lambda: page("metrics").count("\nvigil_stream_unavailable{") == 2)
        before = records(vigil)
        vigil.until(lambda: records(vigil) > before + 40_000)  # some four times `stale_after`

        def pages_when_ready():
            """Return them; where a busy machine is late with a report, they say so for a moment."""
            ready, metrics, status = page("readyz"), page("metrics"), page("status")
            return "\nvigil_ready 1.0" in metrics and (ready, metrics, status)

        ready, metrics, status = vigil.until(pages_when_ready)
        process.send_signal(signal.SIGTERM)
        assert vigil.exit_code() == 0

        assert ready.startswith("streaming\n")  # 200, or urlopen had raised
        assert "does not know the symbol of: GONEUSDT trade" in ready
        assert "refuses the subscription of: BNBUSDT trade" in ready
        assert '{stream="trade",symbol="GONEUSDT",reason="unknown_symbol"} 1.0' in metrics
        assert "vigil_ready 1.0" in metrics
        assert "\nbinance_connection_rotations_total{" not in metrics
        assert "\nvigil_stream_fresh{" in metrics
        assert '"unavailable": "refused"' in status
        assert vigil.log.read_text().count("does not know the symbol GONEUSDT") == 1
        for symbol in ("BTCUSDT", "ETHUSDT"):
            assert audit_files(exchange, vigil.directory / "records", "trade", symbol).clean
