from __future__ import annotations

from monitor.report.latency import latencies
from monitor.report.text import amount, clock, latency, moment
from tests import profiles


def test_percentiles_are_the_bounds_that_the_buckets_allow() -> None:
    counts = [0, 90, 0, 9, 1]
    histogram = {"counts": counts, "sum_seconds": 2.0}
    nothing = {"counts": [0] * 5, "sum_seconds": 0.0}
    buckets = [0.001, 0.01, 0.1, 1.0]
    (found,) = latencies(
        {"latency": {"bucket_seconds": buckets, "receive": histogram, "acknowledge": nothing}}
    )
    assert found.percentile(0.5) == 0.01
    assert found.percentile(0.99) == 1.0
    assert found.percentile(0.999) is None
    assert found.shares == (0, 0.9, 0, 0.09, 0.01)
    assert found.mean_seconds == 0.02
    assert latency(found.percentile(0.999), 1.0) == "> 1 s"
    assert latency(0.01, 1.0) == "≤ 10 ms"


def test_the_predecessor_measured_none() -> None:
    assert latencies(profiles.predecessors()) == ()


def test_numbers_are_for_people() -> None:
    assert amount(None, "MiB") == "–"
    assert amount(0.98, "share") == "98.0%"
    assert amount(14_410.2, "s") == "4:00:10"
    assert amount(9.87654, "s") == "9.88 s"
    assert amount(96.764, "MiB") == "96.8 MiB"
    assert amount(450.0, "MiB") == "450 MiB"
    assert amount(1234567, "count") == "1,234,567"
    assert amount(1e-12, "score") == "0.00"
    assert clock(86_400) == "24:00:00"
    assert moment("2026-11-22T22:13:20.123+00:00") == "2026-11-22 22:13:20 UTC"
    assert moment("one day") == "one day"
