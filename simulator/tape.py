"""The tape: every event that ever happens on the simulated exchange, as a pure function.

The event with a given index of a (stream, symbol) follows from the seed alone, its time from the
start and the rhythm; so any part can be computed at any moment, in any order, by REST, WebSocket
and auditor alike. Times are µs of the Unix epoch; prices and quantities integers of 1e-8.

Trades come in blocks of ten that five aggregates cover: one keyed hash decides a whole block.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import exp
from typing import NamedTuple

STREAMS = ("trade", "aggTrade", "bookTicker")
EVENT_DELAY_MICROSECONDS = 300  # from a trade's time T to its event time E

_TRADES, _AGGREGATES = 10, 5  # per block
_SHAPES = sorted(set(permutations((1, 1, 2, 2, 4))))  # how many trades each aggregate covers
_UPDATE_STRIDE = 7  # order book updates per bookTicker, on average
_OCTAVES = ((6, 0.0002), (60, 0.001), (600, 0.004), (6000, 0.02))  # (length in blocks, amplitude)
_CACHED_BLOCKS = 512  # per symbol; readers of the tape stay close to each other


class Trade(NamedTuple):
    """One fill."""

    id: int
    time: int
    price: int
    quantity: int
    buyer_is_maker: bool


class Aggregate(NamedTuple):
    """The fills of one taker order at one price: trades `first` to `last`."""

    id: int
    time: int
    price: int
    quantity: int
    buyer_is_maker: bool
    first: int
    last: int


class BookTicker(NamedTuple):
    """The best bid and ask after an update of the order book."""

    id: int
    time: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


Event = Trade | Aggregate | BookTicker


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Events per second, with a burst at the beginning of every period."""

    rate: float
    factor: float = 1.0
    period_seconds: float = 60.0
    length_seconds: float = 0.0

    def seconds(self, position: float) -> float:
        """Return when the `position`-th event is due, in seconds from the start; never falls."""
        burst = self.length_seconds * self.rate * self.factor
        calm_seconds = self.period_seconds - self.length_seconds
        cycles, rest = divmod(position, burst + calm_seconds * self.rate)
        if rest < burst:
            within = min(rest / (self.rate * self.factor), self.length_seconds)
        else:
            within = self.length_seconds + min((rest - burst) / self.rate, calm_seconds)
        return cycles * self.period_seconds + within

    def position(self, seconds: float) -> float:
        """Return how many events are due until `seconds` from the start."""
        burst = self.length_seconds * self.rate * self.factor
        calm_seconds = self.period_seconds - self.length_seconds
        cycles, rest = divmod(seconds, self.period_seconds)
        in_burst = min(rest, self.length_seconds)
        within = in_burst * self.rate * self.factor + (rest - in_burst) * self.rate
        return cycles * (burst + calm_seconds * self.rate) + within


@dataclass(frozen=True, slots=True)
class Instrument:
    """How a symbol is priced: all integers of 1e-8."""

    price: int
    tick: int
    lot: int


_UNIT = 10**8
_INSTRUMENTS = {
    "BTCUSDT": Instrument(64_000 * _UNIT, _UNIT // 100, 1000),
    "ETHUSDT": Instrument(3_200 * _UNIT, _UNIT // 100, 10_000),
    "BNBUSDT": Instrument(580 * _UNIT, _UNIT // 100, 100_000),
    "SOLUSDT": Instrument(150 * _UNIT, _UNIT // 100, 100_000),
    "PEPEUSDT": Instrument(1_000, 1, 3_000_000 * _UNIT),  # quantities of more than ten digits
}


def instrument(symbol: str) -> Instrument:
    """Return the pricing of a symbol; of an unknown one something plausible and constant."""
    if symbol in _INSTRUMENTS:
        return _INSTRUMENTS[symbol]
    number = int.from_bytes(hashlib.blake2b(symbol.encode(), digest_size=4).digest(), "little")
    return Instrument((1 + number % 500) * _UNIT, _UNIT // 1000, _UNIT // 1000)


@dataclass(frozen=True, slots=True)
class FirstIds:
    """The ids at which a tape begins."""

    trade: int = 5_000_000_000
    aggregate: int = 3_000_000_000
    update: int = 70_000_000_000


@dataclass(frozen=True, slots=True)
class _Wipe:
    """The exchange forgot what was: from which index on ids are others, and by how much."""

    begins: dict[str, int]
    shifts: dict[str, int]


def _shifted(event: Event, shifts: dict[str, int]) -> Event:
    if isinstance(event, Trade):
        return event._replace(id=event.id + shifts["trade"])
    if isinstance(event, Aggregate):
        by = shifts["trade"]
        return event._replace(
            id=event.id + shifts["aggTrade"], first=event.first + by, last=event.last + by
        )
    return event._replace(id=event.id + shifts["bookTicker"])


class SymbolTape:
    """The three series of one symbol; `rhythm` is that of its trades."""

    def __init__(
        self,
        seed: int,
        symbol: str,
        rhythm: Rhythm,
        start_microseconds: int,
        *,
        book_ratio: float = 1.0,
        first: FirstIds = FirstIds(),
        no_trade_every: int = 0,
    ) -> None:
        self.symbol = symbol
        self.instrument = instrument(symbol)
        self.first = first
        self.start = start_microseconds
        self._rhythm = rhythm
        self._book_ratio = book_ratio
        self._no_trade_every = no_trade_every
        self._wipes: list[_Wipe] = []
        self._hash = hashlib.blake2b(f"{seed}:{symbol}:".encode())
        self._lattice = lru_cache(maxsize=64)(self._random_unit)
        self._block = lru_cache(maxsize=_CACHED_BLOCKS)(self._make_block)

    @property
    def book_rate(self) -> float:
        """Updates of the book a second, outside bursts."""
        return self._rhythm.rate * self._book_ratio

    def begin_ids_anew(self, first_id: int, microseconds: int) -> None:
        """Give ids from `first_id` on, in each stream, to what happens after a time.

        Where each n-th trade is none they begin up to n later: it stays one whose id tells it.
        """
        begins = {stream: self.index_after(stream, microseconds) for stream in STREAMS}
        shifts = {
            stream: first_id - self._numbered(stream, begin).id for stream, begin in begins.items()
        }
        if self._no_trade_every:
            shifts["trade"] += -shifts["trade"] % self._no_trade_every
        self._wipes.append(_Wipe(begins, shifts))

    def begin_of_ids(self, stream: str) -> int:
        """Return the index from which on ids are those of now."""
        return self._wipes[-1].begins[stream] if self._wipes else 0

    def event(self, stream: str, index: int) -> Event:
        """Return the event `index` (0 is the first ever) of a stream of STREAMS."""
        event = self._numbered(stream, index)
        for wipe in reversed(self._wipes):
            if index >= wipe.begins[stream]:
                return _shifted(event, wipe.shifts)
        return event

    def _numbered(self, stream: str, index: int) -> Event:
        """Return an event with its first id."""
        if index < 0:
            raise IndexError(f"{stream} {index} of {self.symbol} is before the tape began")
        if stream == "trade":
            block, offset = divmod(index, _TRADES)
            return self._block(block)[0][offset]
        if stream == "aggTrade":
            block, offset = divmod(index, _AGGREGATES)
            return self._block(block)[1][offset]
        return self.update(index)

    def update(self, index: int) -> BookTicker:
        """Return an update of the book with its first id, whatever ids quotes have by now."""
        if index < 0:
            raise IndexError(f"update {index} of {self.symbol} is before the tape began")
        return self._book(index)

    def index_of_update(self, update_id: int) -> int:
        """Return the index of the first update with an id of at least `update_id`, from 0."""
        return self._index_of("bookTicker", update_id)

    def index_of(self, stream: str, event_id: int) -> int:
        """Return the index of the first event with an id of at least `event_id`, from 0.

        Where ids have begun anew, those before are not known any more.
        """
        if self._wipes:
            event_id -= self._wipes[-1].shifts[stream]
        return max(self.begin_of_ids(stream), self._index_of(stream, event_id))

    def _index_of(self, stream: str, event_id: int) -> int:
        if stream == "trade":
            return max(0, event_id - self.first.trade)
        if stream == "aggTrade":
            return max(0, event_id - self.first.aggregate)
        index = max(0, (event_id - self.first.update) // _UPDATE_STRIDE)
        return index if self._book(index).id >= event_id else index + 1

    def index_after(self, stream: str, microseconds: int) -> int:
        """Return the index of the first event later than a time."""
        seconds = max(0, microseconds - self.start) / 1e6
        position = self._rhythm.position(seconds)
        if stream == "bookTicker":
            index = int(position * self._book_ratio) - 1
        elif stream == "aggTrade":
            index = int(position) // _TRADES * _AGGREGATES - _AGGREGATES
        else:
            index = int(position) - _TRADES
        index = max(0, index)
        while self.event(stream, index).time <= microseconds:
            index += 1
        return index

    def random(self, purpose: str, number: int) -> bytes:
        """Return 64 bytes that nothing but seed, symbol, purpose and number decides."""
        hasher = self._hash.copy()
        hasher.update(f"{purpose}{number}".encode())
        return hasher.digest()

    def _random_unit(self, octave: int, number: int) -> float:
        raw = int.from_bytes(self.random(f"octave {octave} ", number)[:4], "little")
        return raw / 2**31 - 1.0

    def _price(self, block: int) -> int:
        """Return a walk of the price: smooth noise of several lengths, in ticks."""
        drift = 0.0
        for octave, (length, amplitude) in enumerate(_OCTAVES):
            number, rest = divmod(block, length)
            left, right = self._lattice(octave, number), self._lattice(octave, number + 1)
            drift += amplitude * (left + (right - left) * rest / length)
        tick = self.instrument.tick
        return max(2, round(self.instrument.price * exp(drift) / tick)) * tick

    def _make_block(self, block: int) -> tuple[list[Trade], list[Aggregate]]:
        random = self.random("block ", block)
        price, tick, lot = self._price(block), self.instrument.tick, self.instrument.lot
        trades: list[Trade] = []
        aggregates: list[Aggregate] = []
        trade_id = self.first.trade + block * _TRADES
        for number, count in enumerate(_SHAPES[random[0] % len(_SHAPES)]):
            jitter = random[1 + number] / 256
            position = block * _TRADES + len(trades) + jitter * count
            time = self.start + int(self._rhythm.seconds(position) * 1e6)
            at_price = max(tick, price + (random[6 + number] % 3 - 1) * tick)
            maker = random[11 + number] < 128
            first = trade_id + len(trades)
            total = 0
            for offset in range(count):
                place = 16 + 2 * (len(trades))
                size = random[place] | random[place + 1] << 8
                quantity = lot * (1 + (size**3 >> 34))  # many small ones, few large ones
                if self._no_trade_every and (first + offset) % self._no_trade_every == 0:
                    quantity = 0
                total += quantity
                trades.append(Trade(first + offset, time, at_price, quantity, maker))
            aggregate_id = self.first.aggregate + block * _AGGREGATES + number
            aggregates.append(
                Aggregate(aggregate_id, time, at_price, total, maker, first, first + count - 1)
            )
        return trades, aggregates

    def _book(self, index: int) -> BookTicker:
        random = self.random("book ", index)
        position = (index + random[0] / 256) / self._book_ratio
        price, tick, lot = self._price(int(position) // _TRADES), *self._steps()
        bid = max(tick, price - tick * (1 + random[2] % 2))
        return BookTicker(
            self.first.update + index * _UPDATE_STRIDE + random[1] % _UPDATE_STRIDE,
            self.start + int(self._rhythm.seconds(position) * 1e6),
            bid,
            lot * (1 + random[3] * random[4]),
            max(bid + tick, price + tick * (random[5] % 2)),
            lot * (1 + random[6] * random[7]),
        )

    def _steps(self) -> tuple[int, int]:
        return self.instrument.tick, self.instrument.lot
