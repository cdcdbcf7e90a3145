"""Criteria on what the streamers brought: rate, symbols, connections, and what went wrong."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from monitor.criteria import Criterion, Outcome
from monitor.evidence import Evidence
from monitor.stream_records import since_first_report
from streamer.connection_config import CONNECTION_DEFAULTS

AGE_OVERRUN_SECONDS = 300.0
"""No connection outlives its age by 5 min: a 48th of the 4 h. Compressed runs scale it too, but
never below what one rotation may take."""

ROTATION_TAKES_SECONDS = 15.0  # a handshake's timeout of 10 s and an overlap of 5 s

OUTAGE_EVENTS = 100
"""Who brings nothing in the time of so many events has an outage: were events independent, a tenth
of the usual rate would still bring one with 99.995 %. Who brings fewer in half a run is too quiet
to be judged by its own rate."""


ROW_JITTER_SECONDS = 0.5
"""Rows are written a little after their time: so much must not cost a window."""


def feed_criteria(evidence: Evidence) -> tuple[Criterion, ...]:
    """Return the criteria on the feed."""
    return (
        _rate(evidence),
        _symbols(evidence),
        _outages(evidence),
        _silence(evidence),
        _drops(evidence),
        _age(evidence),
        _rotations(evidence),
        _told(evidence, "gaps", "gaps", "gaps in ids"),
        _missing(evidence),
        _told(evidence, "duplicates", "duplicates", "copies recognised and left out"),
        _told(evidence, "message errors", "message_errors", "frames refused", limit=0),
        _told(evidence, "connection errors", "connection_errors", "failed attempts to connect"),
        _told(evidence, "sink errors", "sink_errors", "failures of the sink, retried", limit=0),
        _refused(evidence),
        _unacknowledged(evidence),
    )


def _rate(evidence: Evidence) -> Criterion:
    """Judge every window, not the mean: an hour of outage hides behind busy ones."""
    limit, window = evidence.profile.rate_limit_per_second, evidence.profile.rate_window_seconds
    streams = evidence.settings.get("streams")
    rates = [
        found
        for rows in evidence.by_segment(evidence.rows)
        for found in _windows(
            [
                (row["elapsed_seconds"], row.get("rated_events", row["messages_received"]))
                for row in since_first_report(rows)
            ],
            window,
        )
    ]
    lowest = min((rate for _, rate in rates), default=None)
    first = next((at for at, rate in rates if rate < limit), None)
    outcome = "inconclusive" if lowest is None else "fail" if lowest < limit else "pass"
    return Criterion(
        name="message rate",
        expression=f"unique trades and aggregate trades ≥ limit in every window of {window:g} s",
        observed=lowest,
        limit=limit,
        unit="per second",
        outcome=outcome,  # type: ignore[arg-type]  # one of the three, see above
        # Who streams book tickers only has no message that this limit was made for.
        required=streams is None or bool({"trade", "aggTrade"} & set(streams)),
        samples=len(rates),
        first_breach=first,
        reason="" if rates else "no whole window was observed",
    )


def _windows(
    points: Sequence[tuple[float, int]], window_seconds: float
) -> Iterable[tuple[float, float]]:
    """Yield the end and the mean rate of each window that ends with a row.

    A point is the elapsed time of a row and the events up to it.
    """
    start = 0
    for end, (at, total) in enumerate(points):
        # No window is shorter than the time between two rows, which is the finest that is known.
        latest = at - window_seconds + ROW_JITTER_SECONDS
        while start + 1 < end and points[start + 1][0] <= latest:
            start += 1
        since, before = points[start]
        if at > since and at - since >= window_seconds - ROW_JITTER_SECONDS:
            yield at, (total - before) / (at - since)


def _symbols(evidence: Evidence) -> Criterion:
    delivered = evidence.delivered
    # Who is stopped while connecting, or just after, has shown nothing about a quiet symbol.
    patience = max(
        evidence.setting("stale_after_seconds", CONNECTION_DEFAULTS.stale_after),
        evidence.profile.rate_window_seconds,
    )
    expected = [
        key
        for key, (began, ended) in evidence.wanted.items()
        if ended >= evidence.elapsed_seconds  # what was removed is not asked for
        and (began <= 0 or ended - began >= patience or (delivered or {}).get(key))
    ]
    silent = [key for key in expected if not (delivered or {}).get(key)]
    known = bool(expected) and delivered is not None
    too_short = evidence.cut_short and evidence.elapsed_seconds < patience
    outcome: Outcome = "inconclusive"
    reason = "not recorded"
    if known:
        outcome = "pass" if not silent else "inconclusive" if too_short else "fail"
        reason = "never: " + ", ".join(silent) if silent else ""
    return Criterion(
        name="every symbol",
        expression="every stream of every symbol delivered",
        observed=len(expected) - len(silent) if known else None,
        limit=len(expected) if known else None,
        unit="streams",
        outcome=outcome,
        required=True,
        samples=len(evidence.rows),
        reason=reason,
    )


def _outages(evidence: Evidence) -> Criterion:
    """Judge each stream of a symbol by itself: one that is gone hides behind the busy others."""
    times = [row["elapsed_seconds"] for row in evidence.rows]
    changed = {key for one in evidence.changes for key in (*one["added"], *one["removed"])}
    found: list[tuple[float, str, float]] = []  # end of the window, stream, its length
    judged = 0
    for key, records in evidence.records(dict(_delivered_spans(evidence))).items():
        if not records:
            continue
        total = records[-1].total
        seconds = evidence.elapsed_seconds
        if key in changed:  # of its own time, after what it brought before that
            total -= records[0].first
            seconds = records[-1].ended - records[0].began
        if total < 2 * OUTAGE_EVENTS:
            continue
        window = max(
            evidence.profile.rate_window_seconds,
            OUTAGE_EVENTS * seconds / total,
        )
        whole = [one for one in records if one.seconds >= window - ROW_JITTER_SECONDS]
        judged += bool(whole)
        outages = (
            since + window - ROW_JITTER_SECONDS
            for one in whole
            for since, until in one.standstills
            if until - since + ROW_JITTER_SECONDS >= window
        )
        if (first := next(outages, None)) is not None:
            seen = times[min(bisect_left(times, first), len(times) - 1)]
            found.append((seen, key, window))
    found.sort()
    return Criterion(
        name="stream outages",
        expression="streams of a symbol that fell silent for far longer than they do ≤ limit",
        observed=len(found) if judged else None,
        limit=0,
        unit="streams",
        outcome=("fail" if found else "pass") if judged else "inconclusive",
        required=judged > 0,  # in a short or quiet run there may be no rate to go by
        samples=judged,
        first_breach=found[0][0] if found else None,
        reason="; ".join(f"{key}: nothing for {window:.0f} s" for _, key, window in found)
        if judged
        else "too few events of each",
    )


def _delivered_spans(evidence: Evidence) -> Iterable[tuple[str, tuple[float, float]]]:
    """Yield each stream that brought something, with the time in which it was wanted."""
    spans = evidence.wanted
    for key in evidence.delivered or ():
        if key in spans:
            yield key, spans[key]
        elif not evidence.changes:  # in the predecessor's format nobody tells what was wanted
            yield key, (0.0, evidence.elapsed_seconds)


def _silence(evidence: Evidence) -> Criterion:
    limit = evidence.setting("stale_after_seconds", CONNECTION_DEFAULTS.stale_after)
    silences = [
        (seconds, key)
        for process in evidence.processes
        for key, seconds in process.facts.get("longest_silence_seconds", {}).items()
    ]
    longest, key = max(silences, default=(None, ""))
    return Criterion(
        name="longest silence",
        expression="time without an event on a stream of a symbol ≤ limit",
        observed=longest,
        limit=limit,
        unit="s",
        outcome="inconclusive" if longest is None else "fail" if longest > limit else "pass",
        required=False,  # a quiet night of a small symbol is no fault
        samples=sum(
            process.facts.get("streams", len(process.facts.get("longest_silence_seconds", ())))
            for process in evidence.processes
        ),
        reason=key or "not recorded",
    )


def _drops(evidence: Evidence) -> Criterion:
    limit = evidence.profile.drops_limit
    drops = evidence.summary.get("unscheduled_drops")
    reports = _reports(evidence)
    known = drops is not None and reports > 0
    too_many = drops is not None and limit is not None and drops >= limit
    return Criterion(
        name="unscheduled drops",
        expression="slots left without a live connection outside the plan < limit",
        observed=drops if known else None,
        limit=limit,
        unit="count",
        outcome="inconclusive" if not known else "fail" if too_many else "pass",
        required=limit is not None,
        samples=reports,
        reason="" if known else "not recorded",
    )


def _age(evidence: Evidence) -> Criterion:
    age = evidence.setting("connection_max_age_seconds", CONNECTION_DEFAULTS.max_age)
    limit = age + min(AGE_OVERRUN_SECONDS, max(ROTATION_TAKES_SECONDS, age / 48))
    ages = [
        one.facts["oldest_connection_seconds"]
        for one in evidence.processes
        if one.facts.get("reports")
    ]
    oldest = max(ages, default=None)
    return Criterion(
        name="connection age",
        expression=f"no connection outlives {age:g} s by more than {limit - age:g} s",
        observed=oldest,
        limit=limit,
        unit="s",
        outcome="inconclusive" if oldest is None else "fail" if oldest > limit else "pass",
        required=True,
        samples=_reports(evidence),
        reason="" if ages else "not recorded",
    )


def _rotations(evidence: Evidence) -> Criterion:
    """Compare with what the observed ages asked for.

    A connection that reached its age must have been rotated, unless it was lost meanwhile, or
    the run ended while its rotation was under way. Older profiles do not say which ones were lost:
    any loss may have been one of them.
    """
    facts = [one.facts for one in evidence.processes if one.facts.get("reports")]
    due = sum(one["rotations_due"] for one in facts)
    done = sum(one["rotations"] for one in facts)
    excused = sum(
        one["rotations_pending"] + one.get("rotations_lost", one["drops"]) for one in facts
    )
    return Criterion(
        name="rotations",
        expression="connections that reached their age were rotated",
        observed=done if facts else None,
        limit=max(due - excused, 0) if facts else None,
        unit="count",
        outcome=("fail" if done < due - excused else "pass") if facts else "inconclusive",
        required=True,
        samples=_reports(evidence),
        reason=f"{due} due, {excused} excused" if facts else "not recorded",
    )


def _unacknowledged(evidence: Evidence) -> Criterion:
    """Ask the last process of each streamer: it resumed from what those before it left."""
    last = {one.name: one.facts for one in evidence.processes if one.facts}.values()
    final = bool(last) and all(one.get("final_report") for one in last)
    queued = sum(one.get("sink_queued") or 0 for one in last)
    return Criterion(
        name="sink acknowledged",
        expression="records accepted and not acknowledged at the end ≤ limit",
        observed=queued if final else None,
        limit=0,
        unit="records",
        outcome=("fail" if queued else "pass") if final else "inconclusive",
        required=True,
        samples=len(last),
        reason="" if final else "no final report",
    )


def _missing(evidence: Evidence) -> Criterion:
    """Ask for every id: what REST brought closed its gap, what it could not bring is lost.

    Books aside, whose past changes the exchange does not tell (`missing_updates`).
    """
    missing = evidence.summary.get("missing_ids")
    gaps = evidence.summary.get("gaps")
    return Criterion(
        name="missing ids",
        expression="ids in gaps that could not be repaired ≤ limit",
        observed=missing,
        limit=0,
        unit="count",
        outcome="inconclusive" if missing is None else "fail" if missing else "pass",
        required=True,
        samples=_reports(evidence),
        reason="not recorded" if missing is None else f"in {gaps} gaps" if missing else "",
    )


def _refused(evidence: Evidence) -> Criterion:
    """Count what was accepted and is neither acknowledged nor on its way.

    A streamer that was launched again has left such records behind, and begins before them.
    """
    refused = _refused_of(evidence)
    names = [one.name for one in evidence.processes]
    return Criterion(
        name="refused records",
        expression="records that the sink accepted and then gave up ≤ limit",
        observed=refused,
        limit=0,
        unit="records",
        outcome="inconclusive" if refused is None else "fail" if refused > 0 else "pass",
        required=True,
        samples=len(names),
        reason="" if refused is not None else "no final report, or not recorded",
    )


def _refused_of(evidence: Evidence) -> int | None:
    """Return their number, None where it is not known.

    Of a resumed run each segment counts by itself. Of one that was killed nobody knows what was
    on its way, and the next one has begun before it; so only the last must have had its say.
    """
    if evidence.segments:
        told = [one.facts for one in evidence.segments]
        if not told[-1]["final_report"] or any(one["relaunched"] for one in told):
            return None
        return sum(
            max(int(one["sink_accepted"] - one["sink_acknowledged"] - one["sink_queued"]), 0)
            for one in told
            if one["final_report"]
        )
    accepted = evidence.summary.get("sink_accepted")
    acknowledged = evidence.summary.get("sink_acknowledged")
    names = [one.name for one in evidence.processes]
    final = bool(names) and all(one.facts.get("final_report") for one in evidence.processes)
    if accepted is None or acknowledged is None or len(set(names)) < len(names) or not final:
        return None
    queued = sum(one.facts.get("sink_queued") or 0 for one in evidence.processes)
    return int(accepted - acknowledged - queued)


def _told(
    evidence: Evidence, name: str, key: str, expression: str, limit: int | None = None
) -> Criterion:
    count = evidence.summary.get(key)
    outcome: Outcome = "pass"
    if count is None:
        outcome = "inconclusive"
    elif limit is not None and count > limit:
        outcome = "fail"
    return Criterion(
        name=name,
        expression=f"{expression} ≤ limit" if limit is not None else f"{expression}, told only",
        observed=count,
        limit=limit,
        unit="count",
        outcome=outcome,
        required=False,
        samples=_reports(evidence),
        reason="" if count is not None else "not recorded",
    )


def _reports(evidence: Evidence) -> int:
    return sum(one.facts.get("reports", 0) for one in evidence.processes)
