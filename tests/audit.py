"""Does a sink hold what the exchange's tape holds? Compared field by field, ids and all.

Imports neither the streamer nor the simulator, so that no mistake is shared: the records come
through fastavro, the tape as the JSON that the exchange itself would have sent.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro

IDS = {"trade": "t", "aggTrade": "a", "bookTicker": "u"}
# Avro field → payload key, how the payload's value is to be read.
_TEXT, _EXACT, _DECIMAL, _TIME = str, lambda value: value, Decimal, "time"
FIELDS: dict[str, dict[str, tuple[str, Any]]] = {
    "trade": {
        "symbol": ("s", _TEXT),
        "trade_id": ("t", _EXACT),
        "event_time": ("E", _TIME),
        "trade_time": ("T", _TIME),
        "price": ("p", _DECIMAL),
        "quantity": ("q", _DECIMAL),
        "buyer_is_maker": ("m", _EXACT),
    },
    "aggTrade": {
        "symbol": ("s", _TEXT),
        "aggregate_trade_id": ("a", _EXACT),
        "first_trade_id": ("f", _EXACT),
        "last_trade_id": ("l", _EXACT),
        "event_time": ("E", _TIME),
        "trade_time": ("T", _TIME),
        "price": ("p", _DECIMAL),
        "quantity": ("q", _DECIMAL),
        "buyer_is_maker": ("m", _EXACT),
    },
    "bookTicker": {
        "symbol": ("s", _TEXT),
        "update_id": ("u", _EXACT),
        "bid_price": ("b", _DECIMAL),
        "bid_quantity": ("B", _DECIMAL),
        "ask_price": ("a", _DECIMAL),
        "ask_quantity": ("A", _DECIMAL),
    },
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Audit:
    """What was found for one stream of one symbol; ids in ascending order."""

    count: int
    missing: tuple[int, ...]
    doubled: tuple[int, ...]
    disordered: tuple[int, ...]
    wrong: tuple[str, ...]
    foreign: tuple[int, ...]  # not on the tape at all
    backfilled: tuple[int, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether every event is there once, in order, exact."""
        return self.intact and not self.missing

    @property
    def intact(self) -> bool:
        """Whether what is there is there once, in order, exact; something may be missing."""
        return not (self.doubled or self.disordered or self.wrong or self.foreign)

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The missing ids as runs, both ends included."""
        runs = itertools.groupby(enumerate(self.missing), lambda pair: pair[1] - pair[0])
        ranges = [[number for _, number in run] for _, run in runs]
        return [(numbers[0], numbers[-1]) for numbers in ranges]


def read_files(directory: Path, stream: str, names: str = "*.avro") -> list[dict[str, Any]]:
    """Return the records of a stream from every Avro file, in the order of their names."""
    records: list[dict[str, Any]] = []
    for path in sorted((directory / stream).glob(names)):
        with path.open("rb") as file:
            reader: Any = fastavro.reader(file)
            records.extend(reader)
    return records


def compare(
    stream: str,
    symbol: str,
    records: Iterable[Record],
    tape: Iterable[Mapping[str, Any]],
    *,
    ticks_per_second: int = 1_000_000,
) -> Audit:
    """Compare the records of one symbol with the tape's payloads of the same window.

    Every id of the tape is wanted once; `ticks_per_second` is the unit of the tape's times.
    """
    id_field = next(name for name, (key, _) in FIELDS[stream].items() if key == IDS[stream])
    mine = [record for record in records if record["symbol"] == symbol]
    ids = [record[id_field] for record in mine]
    expected = {payload[IDS[stream]]: payload for payload in tape}
    counted = Counter(ids)
    first_time = list(dict.fromkeys(ids))
    wrong = [
        f"{record[id_field]}: {difference}"
        for record in mine
        if record[id_field] in expected
        for difference in differences(stream, record, expected[record[id_field]], ticks_per_second)
    ]
    return Audit(
        count=len(mine),
        missing=tuple(sorted(expected.keys() - counted.keys())),
        doubled=tuple(sorted(number for number, times in counted.items() if times > 1)),
        disordered=tuple(
            after for before, after in itertools.pairwise(first_time) if after < before
        ),
        wrong=tuple(wrong),
        foreign=tuple(sorted(counted.keys() - expected.keys())),
        backfilled=tuple(
            sorted(record[id_field] for record in mine if record["source"] == "backfill")
        ),
    )


def differences(
    stream: str, record: Record, payload: Mapping[str, Any], ticks_per_second: int
) -> list[str]:
    """Return what is not exact in a record, in words."""
    found = []
    for field, (key, kind) in FIELDS[stream].items():
        if record["source"] == "backfill" and key == "E":
            key = "T"  # REST does not tell E
        if kind == _TIME:
            wanted: Any = _EPOCH + timedelta(
                microseconds=payload[key] * 1_000_000 // ticks_per_second
            )
        else:
            wanted = kind(payload[key])
        if record[field] != wanted or isinstance(record[field], bool) != isinstance(wanted, bool):
            found.append(f"{field} is {record[field]!r}, not {wanted!r}")
    id_key = IDS[stream]
    wanted_id = f"binance:spot:{payload['s']}:{stream}:{payload[id_key]}"
    if record["record_id"] != wanted_id:
        found.append(f"record_id is {record['record_id']}, not {wanted_id}")
    return found


def audit_files(exchange: Any, directory: Path, stream: str, symbol: str) -> Audit:
    """Compare what a directory holds with the exchange's tape, from its first id to its last."""
    return audit_records(exchange, read_files(directory, stream), stream, symbol)


def audit_records(exchange: Any, records: list[Any], stream: str, symbol: str) -> Audit:
    """Compare records with the exchange's tape, from their first id to their last."""
    id_field = next(name for name, (key, _) in FIELDS[stream].items() if key == IDS[stream])
    ids = [record[id_field] for record in records if record["symbol"] == symbol]
    assert ids, f"no record of {stream} {symbol}"
    return compare(stream, symbol, records, exchange.tape(stream, symbol, min(ids), max(ids)))
