"""Does a sink hold what the exchange's tape holds? Compared field by field, ids and all.

Imports neither the streamer nor the simulator, so that no mistake is shared: the records come
through fastavro, the tape as the JSON that the exchange itself would have sent.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro

from tests.waiting import eventually

# How a payload's value is to be read.
_TEXT, _EXACT, _DECIMAL, _TIME = str, lambda value: value, Decimal, "time"
_SOME_ID = lambda value: None if value == -1 else value  # noqa: E731 - as the others


def _LEVELS(value: list[list[str]]) -> list[dict[str, Decimal]]:  # noqa: N802 - as the others
    return [{"price": Decimal(price), "quantity": Decimal(each)} for price, each in value]


# Avro field → payload key (k.o: o in k), how it is to be read; by kind of stream.
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
    "depth": {
        "symbol": ("s", _TEXT),
        "first_update_id": ("U", _EXACT),
        "last_update_id": ("u", _EXACT),
        "event_time": ("E", _TIME),
        "bids": ("b", _LEVELS),
        "asks": ("a", _LEVELS),
    },
    "partialDepth": {  # the payload has no symbol
        "last_update_id": ("lastUpdateId", _EXACT),
        "bids": ("bids", _LEVELS),
        "asks": ("asks", _LEVELS),
    },
    "avgPrice": {
        "symbol": ("s", _TEXT),
        "event_time": ("E", _TIME),
        "interval": ("i", _TEXT),
        "average_price": ("w", _DECIMAL),
        "last_trade_time": ("T", _TIME),
    },
    "kline": {
        "symbol": ("k.s", _TEXT),
        "interval": ("k.i", _TEXT),
        "open_time": ("k.t", _TIME),
        "close_time": ("k.T", _TIME),
        "event_time": ("E", _TIME),
        "open": ("k.o", _DECIMAL),
        "close": ("k.c", _DECIMAL),
        "high": ("k.h", _DECIMAL),
        "low": ("k.l", _DECIMAL),
        "volume": ("k.v", _DECIMAL),
        "quote_volume": ("k.q", _DECIMAL),
        "taker_buy_volume": ("k.V", _DECIMAL),
        "taker_buy_quote_volume": ("k.Q", _DECIMAL),
        "trade_count": ("k.n", _EXACT),
        "first_trade_id": ("k.f", _SOME_ID),
        "last_trade_id": ("k.L", _SOME_ID),
        "is_closed": ("k.x", _EXACT),
    },
    "miniTicker": {
        "symbol": ("s", _TEXT),
        "event_time": ("E", _TIME),
        "close": ("c", _DECIMAL),
        "open": ("o", _DECIMAL),
        "high": ("h", _DECIMAL),
        "low": ("l", _DECIMAL),
        "volume": ("v", _DECIMAL),
        "quote_volume": ("q", _DECIMAL),
    },
    "ticker": {
        "symbol": ("s", _TEXT),
        "event_time": ("E", _TIME),
        "open_time": ("O", _TIME),
        "close_time": ("C", _TIME),
        "price_change": ("p", _DECIMAL),
        "price_change_percent": ("P", _DECIMAL),
        "weighted_average_price": ("w", _DECIMAL),
        "previous_price": ("x", _DECIMAL),
        "last_price": ("c", _DECIMAL),
        "last_quantity": ("Q", _DECIMAL),
        "bid_price": ("b", _DECIMAL),
        "bid_quantity": ("B", _DECIMAL),
        "ask_price": ("a", _DECIMAL),
        "ask_quantity": ("A", _DECIMAL),
        "open": ("o", _DECIMAL),
        "high": ("h", _DECIMAL),
        "low": ("l", _DECIMAL),
        "volume": ("v", _DECIMAL),
        "quote_volume": ("q", _DECIMAL),
        "first_trade_id": ("F", _SOME_ID),
        "last_trade_id": ("L", _SOME_ID),
        "trade_count": ("n", _EXACT),
    },
}
# What tells one event of a stream from the others, as a key of its payload.
IDS = {"trade": "t", "aggTrade": "a", "bookTicker": "u", "depth": "u", "miniTicker": "E",
       "ticker": "E", "avgPrice": "E", "partialDepth": "lastUpdateId"}  # fmt: skip
CLOSED = 1 << 62
"""In the id of a kline's event, (open time, event time): the closing, whatever its time is."""
# What REST does not tell, and what stands for it.
_BACKFILLED: dict[str, dict[str, str | None]] = {
    "trade": {"E": "T"},
    "aggTrade": {"E": "T"},
    "kline": {"E": "k.T", "k.f": None, "k.L": None},  # the moment after T
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Audit:
    """What was found for one stream of one symbol; ids in ascending order.

    Ids are those of IDS, times in microseconds; of klines (open time, event time or CLOSED).
    """

    count: int
    missing: tuple[Any, ...]
    doubled: tuple[Any, ...]
    disordered: tuple[Any, ...]
    wrong: tuple[str, ...]
    foreign: tuple[Any, ...]  # not on the tape at all
    backfilled: tuple[Any, ...] = ()

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


def kind_of(stream: str) -> str:
    """Return the kind of a stream: `depth` of `depth@100ms`, `kline` of `kline_1m`."""
    kind = stream.partition("@")[0].partition("_")[0]
    return "partialDepth" if kind in ("depth5", "depth10", "depth20") else kind


def read_files(directory: Path, stream: str, names: str = "*.avro") -> list[dict[str, Any]]:
    """Return the records of a stream from every Avro file, in the order of their names.

    Those of several streamers are below the directory, and have one order over all of them. Of a
    file in progress (its name ends in ".open") those before what is being written.
    """
    while True:
        with suppress(FileNotFoundError):  # one was completed, and so renamed, just now
            bases = (directory, *directory.glob("streamer-*"))
            found = [path for base in bases for path in (base / kind_of(stream)).glob(names)]
            paths = sorted(found, key=lambda path: path.name)
            return [record for path in paths for record in _records(path) if _is_of(record, stream)]


def _records(path: Path) -> Iterator[dict[str, Any]]:
    in_progress: tuple[type[Exception], ...] = ()
    if path.suffix == ".open":
        in_progress = (EOFError, ValueError, StopIteration)
    with path.open("rb") as file:
        try:
            reader: Any = fastavro.reader(file)
            yield from reader
        except in_progress:
            return


def await_caught_up(
    exchange: Any,
    directory: Path,
    streams: Iterable[str] = ("trade",),
    symbols: Iterable[str] | None = None,
) -> None:
    """Wait until what is live now is in the files, so that below it nothing is missing any more.

    A streamer that is stopped before that leaves something to its next start, and says so by its
    exit code. Streams are those that `Exchange.status` tells of: trade, aggTrade, bookTicker.
    """
    last_ids = exchange.status()["last_ids"]
    wanted = {
        (stream, symbol): last_ids[f"{symbol.lower()}@{stream}"]
        for stream in streams
        for symbol in symbols or exchange.symbols
    }

    def behind() -> dict[tuple[str, str], int]:
        found = {
            (stream, record["symbol"]): record_id(stream, record)
            for stream in streams
            for record in read_files(directory, stream, "*.avro*")
        }
        return {key: last for key, last in wanted.items() if found.get(key, 0) < last}

    eventually(
        lambda: not behind(), what="the live data", every=0.3, told=lambda: f"behind: {behind()}"
    )


def stored_bytes(directory: Path, names: str) -> int:
    """Return the size of all files below a directory that match, also while they are renamed."""
    while True:
        with suppress(FileNotFoundError):
            return sum(path.stat().st_size for path in directory.glob(names))


def _is_of(record: Record, stream: str) -> bool:
    """Return whether a record of a stream's kind is of that stream; gaps are all of one kind."""
    if stream == "gap":
        return True
    return str(record["record_id"]).split(":")[3] == stream


def compare(
    stream: str,
    symbol: str,
    records: Iterable[Record],
    tape: Iterable[Mapping[str, Any]],
    *,
    ticks_per_second: int = 1_000_000,
    epoch: int = 0,
) -> Audit:
    """Compare the records of one symbol with the tape's payloads of the same window.

    Every id of the tape is wanted once; `ticks_per_second` is the unit of the tape's times.
    All have one numbering; record ids must have its `epoch`, unless that is 0.
    """
    kind = kind_of(stream)
    mine = [each for each in records if each["symbol"] == symbol and _is_of(each, stream)]
    ids = [record_id(kind, record) for record in mine]
    expected = {payload_id(kind, payload, ticks_per_second): payload for payload in tape}
    counted = Counter(ids)
    first_time = list(dict.fromkeys(ids))
    wrong = [
        f"{number}: {difference}"
        for number, record in zip(ids, mine, strict=True)
        if number in expected
        for difference in differences(
            stream, record, expected[number], ticks_per_second, epoch=epoch
        )
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
            sorted(
                number
                for number, record in zip(ids, mine, strict=True)
                if record["source"] == "backfill"
            )
        ),
    )


def record_id(kind: str, record: Record) -> Any:
    """Return what tells a record from the others of its stream."""
    if kind == "kline":
        event_time = CLOSED if record["is_closed"] else _microseconds(record["event_time"])
        return _microseconds(record["open_time"]), event_time
    field = next(name for name, (key, _) in FIELDS[kind].items() if key == IDS[kind])
    value = record[field]
    return _microseconds(value) if isinstance(value, datetime) else value


def payload_id(kind: str, payload: Mapping[str, Any], ticks_per_second: int) -> Any:
    """Return the same of a payload."""
    factor = 1_000_000 // ticks_per_second
    if kind == "kline":
        event_time = CLOSED if payload["k"]["x"] else payload["E"] * factor
        return payload["k"]["t"] * factor, event_time
    return payload[IDS[kind]] * (factor if IDS[kind] == "E" else 1)


def differences(
    stream: str,
    record: Record,
    payload: Mapping[str, Any],
    ticks_per_second: int,
    *,
    epoch: int = 0,
) -> list[str]:
    """Return what is not exact in a record, in words."""
    found = []
    kind = kind_of(stream)
    untold = _BACKFILLED[kind] if record["source"] == "backfill" else {}
    for field, (key, reading) in FIELDS[kind].items():
        told = untold.get(key, key)
        if told is None:
            wanted: Any = None
        elif reading == _TIME:
            ticks = _value(payload, told) + (kind == "kline" and told != key)
            wanted = _EPOCH + timedelta(microseconds=ticks * 1_000_000 // ticks_per_second)
        else:
            wanted = reading(_value(payload, told))
        if record[field] != wanted or isinstance(record[field], bool) != isinstance(wanted, bool):
            found.append(f"{field} is {record[field]!r}, not {wanted!r}")
    number = record_id(kind, record)
    if kind == "kline":
        number = f"{number[0]}:{_microseconds(record['event_time'])}"
    if epoch:
        number = f"{epoch}:{number}"
    wanted_id = f"binance:spot:{payload.get('s', record['symbol'])}:{stream}:{number}"
    if record["record_id"] != wanted_id:
        found.append(f"record_id is {record['record_id']}, not {wanted_id}")
    return found


def _value(payload: Mapping[str, Any], key: str) -> Any:
    for step in key.split("."):
        payload = payload[step]
    return payload


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def audit_files(exchange: Any, directory: Path, stream: str, symbol: str) -> Audit:
    """Compare what a directory holds with the exchange's tape, from its first id to its last."""
    return audit_records(exchange, read_files(directory, stream), stream, symbol)


def audit_records(exchange: Any, records: list[Any], stream: str, symbol: str) -> Audit:
    """Compare records with the exchange's tape, from their first id to their last."""
    kind = kind_of(stream)
    mine = [each for each in records if each["symbol"] == symbol and _is_of(each, stream)]
    assert mine, f"no record of {stream} {symbol}"
    ids = [record_id(kind, record) for record in mine]
    begin, end = min(ids), max(ids)
    first, last = begin, end
    if kind == "kline":  # the tape goes by event times
        first = begin[0]
        last = max(_microseconds(each["close_time"]) for each in mine) + _CLOSING_US
    tape = [
        payload
        for payload in exchange.tape(stream, symbol, first, last)
        if begin <= payload_id(kind, payload, 1_000_000) <= end
    ]
    return compare(stream, symbol, records, tape)


_CLOSING_US = 1_000_000
"""When a candle's closing has surely been told."""
