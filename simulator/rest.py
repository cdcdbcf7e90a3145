"""REST under `/api/v3`, over the same tape as the streams.

Weights, parameters and error codes are those of rest-api.md and errors.md (2026).
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from simulator.book import BookState
from simulator.exchange import Exchange
from simulator.faults import Fault, Value, validated
from simulator.payloads import TimeUnit, decimal, rest_aggregate, rest_trade, time_unit
from simulator.spans import INTERVALS, candle_starts
from simulator.summaries import Summaries, sources
from simulator.summary_payloads import rest_candle, rest_depth
from simulator.tape import Aggregate, SymbolTape, Trade

WEIGHTS = {"time": 1, "exchangeInfo": 20, "trades": 25, "historicalTrades": 25, "aggTrades": 4,
           "klines": 2, "depth": 5}  # fmt: skip
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))  # levels of a side, at most
_DEPTH_DEFAULT, _DEPTH_MAX = 100, 5000
_DEFAULT_LIMIT, _MAX_LIMIT = 500, 1000
_MINUTE = 60.0


_PAGE_FOR_PEOPLE = "<!DOCTYPE html><html><body><h1>Please try again later</h1></body></html>"
_NASTY: tuple[dict[str, Value], ...] = (
    {"kind": "rest_error", "status": 503, "retry_after": 0},
    {"kind": "rest_error", "status": 429, "retry_after": 1},
    {"kind": "rest_error", "status": 418, "retry_after": 1},
    {"kind": "rest_html", "http_status": 200},
    {"kind": "rest_html", "http_status": 502},
    {"kind": "rest_lag", "lag": 3.0},
    {"kind": "rest_short", "count": 3},
    {"kind": "rest_empty"},
    {"kind": "rest_slow", "delay": 0.5},
)
"""What `--rest-nasty` draws from."""


class ApiError(Exception):
    """An error of the API: its code and message, sent with status 400."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Budget:
    """Request weight per minute of the clock, 429 beyond it, 418 for those who go on. Pure."""

    limit: int
    ban_after: int
    ban_seconds: float
    used: int = 0
    _minute: int = 0
    _refused: int = 0
    _banned_until: float = 0.0

    def charge(self, weight: int, now: float) -> tuple[int, int]:
        """Return the status (200, 429, 418) and the seconds of Retry-After."""
        if now < self._banned_until:
            return 418, int(self._banned_until - now) + 1
        minute = int(now // _MINUTE)
        if minute != self._minute:
            self._minute, self.used, self._refused = minute, 0, 0
        self.used += weight
        if self.used <= self.limit:
            return 200, 0
        self._refused += 1
        if self._refused > self.ban_after:
            self._banned_until = now + self.ban_seconds
            return 418, int(self.ban_seconds) + 1
        return 429, int((minute + 1) * _MINUTE - now) + 1


def application(exchange: Exchange) -> web.Application:
    """Return the application that serves REST."""
    api = _Api(exchange)
    app = web.Application()
    for name in WEIGHTS:
        app.router.add_get(f"/api/v3/{name}", api.handler(name))
    return app


class _Api:
    def __init__(self, exchange: Exchange) -> None:
        settings = exchange.settings
        self._exchange = exchange
        self._budget = Budget(settings.weight_limit, settings.ban_after, settings.ban_time)
        self._extra_lag = 0.0  # of the request at hand
        self._tapes = exchange.tapes  # likewise
        self._halted: str | None = None  # likewise: the symbol that does not trade
        self._nasty = tuple(validated(0, each, ()) for each in _NASTY)
        self._random = random.Random(f"rest {settings.seed}")
        self._recorded = exchange.replay.symbols() if exchange.replay else set[str]()

    def handler(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler of an endpoint: limits and faults first, then the answer."""
        answer: Callable[[dict[str, str], TimeUnit], str] = getattr(self, f"_{name}")
        is_page = name in ("trades", "historicalTrades", "aggTrades", "klines")

        async def handle(request: web.Request) -> web.Response:
            now = self._exchange.now()
            faults = self._faults(now)
            if slow := faults.get("rest_slow"):
                await asyncio.sleep(slow.seconds("delay"))
            if html := faults.get("rest_html"):
                status = int(html.arguments["http_status"] or 200)
                return web.Response(text=_PAGE_FOR_PEOPLE, status=status, content_type="text/html")
            if refusal := faults.get("rest_error"):
                return self._response(
                    _error(-1001, "Internal error; unable to process your request."),
                    int(refusal.arguments["status"] or 503),
                    int(refusal.arguments["retry_after"] or 0),
                )
            status, retry_after = self._budget.charge(weight_of(name, request.query), now)
            if status != 200:
                message = f"Too much request weight used; current limit is {self._budget.limit}."
                return self._response(_error(-1003, message), status, retry_after)
            try:
                unit = time_unit(request.headers.get("X-MBX-TIME-UNIT", "MILLISECOND"))
                query = dict(request.query)
                if is_page and "rest_empty" in faults:
                    return self._response("[]")
                if is_page and (short := faults.get("rest_short")):
                    query["limit"] = str(min(short.count(), int(query.get("limit") or 500)))
                lag = faults.get("rest_lag")
                other = "rest_other_venue" in faults
                self._tapes = self._exchange.other_venue if other else self._exchange.tapes
                self._extra_lag = lag.seconds("lag") if lag else 0.0
                halt = faults.get("rest_halt")
                self._halted = str(halt.arguments["symbol"]) if halt else None
                return self._response(answer(query, unit))
            except ApiError as error:
                return self._response(_error(error.code, str(error)), 400)
            except ValueError as error:
                return self._response(_error(-1100, str(error)), 400)

        return handle

    def _faults(self, now: float) -> dict[str, Fault]:
        """Return what happens to this request, by kind."""
        at_work = {
            kind: fault for kind, (fault, end) in self._exchange.rest_faults.items() if now < end
        }
        if self._random.random() < self._exchange.settings.rest_nasty:
            fault = self._random.choice(self._nasty)
            at_work.setdefault(fault.kind, fault)
        return at_work

    def _response(self, text: str, status: int = 200, retry_after: int = 0) -> web.Response:
        headers = {
            "X-MBX-USED-WEIGHT": str(self._budget.used),
            "X-MBX-USED-WEIGHT-1M": str(self._budget.used),
        }
        if retry_after:
            headers["Retry-After"] = str(retry_after)
        return web.Response(
            text=text, status=status, headers=headers, content_type="application/json"
        )

    def _horizon(self) -> int:
        lag = self._exchange.settings.rest_lag + self._extra_lag
        return self._exchange.clock.microseconds() - int(lag * 1e6)

    def _time(self, query: dict[str, str], unit: TimeUnit) -> str:
        now = self._exchange.clock.microseconds()
        return f'{{"serverTime":{now if unit == "us" else now // 1000}}}'

    def _trades(self, query: dict[str, str], unit: TimeUnit) -> str:
        query.pop("fromId", None)  # only historicalTrades knows it
        return self._historicalTrades(query, unit)

    def _historicalTrades(self, query: dict[str, str], unit: TimeUnit) -> str:  # noqa: N802
        tape = self._tape(query)
        if tape is None:
            return "[]"
        end = tape.index_after("trade", self._horizon())
        begin, end = _page(tape, "trade", query, end)
        trades = (tape.event("trade", index) for index in range(begin, end))
        return _array(rest_trade(each, unit) for each in trades if isinstance(each, Trade))

    def _aggTrades(self, query: dict[str, str], unit: TimeUnit) -> str:  # noqa: N802
        tape = self._tape(query)
        if tape is None:
            return "[]"
        first = 0
        end = tape.index_after("aggTrade", self._horizon())
        since, until = (_integer(query, key) for key in ("startTime", "endTime"))
        if "fromId" in query and (since is not None or until is not None):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if until is not None:  # the end of the millisecond is meant
            end = min(end, tape.index_after("aggTrade", _microseconds(until, last=True)))
        if since is not None:
            first = tape.index_after("aggTrade", _microseconds(since) - 1)
            query = {**query, "fromId": str(tape.event("aggTrade", first).id)}
        begin, end = _page(tape, "aggTrade", query, end)
        events = (tape.event("aggTrade", index) for index in range(begin, end))
        return _array(rest_aggregate(each, unit) for each in events if isinstance(each, Aggregate))

    def _depth(self, query: dict[str, str], unit: TimeUnit) -> str:
        tape = self._tape(query)
        limit = _limit(query, _DEPTH_DEFAULT, _DEPTH_MAX)
        if tape is None:
            return rest_depth(0, BookState({}, {}), limit)
        book = self._summaries(tape).book
        index = book.snapshot_index(self._horizon())
        return rest_depth(book.id_at(index), book.state(index), limit)

    def _klines(self, query: dict[str, str], unit: TimeUnit) -> str:
        tape = self._tape(query)
        if tape is None:
            return "[]"
        interval = query.get("interval")
        if interval not in INTERVALS:
            raise ApiError(-1120, "Invalid interval.")
        known = self._horizon() // 1_000_000  # what happened before this second is known
        since, until = (_integer(query, key) for key in ("startTime", "endTime"))
        latest = known
        if until is not None:
            latest = min(known, _microseconds(until) // 1_000_000)
        if since is not None:
            since = -(-_microseconds(since) // 1_000_000)
        begin = tape.start // 1_000_000
        starts = candle_starts(interval, begin, latest, _limit(query), since)
        summaries = self._summaries(tape)
        return _array(rest_candle(summaries.candle(interval, at, known), unit) for at in starts)

    def _summaries(self, tape: SymbolTape) -> Summaries:
        if tape is self._exchange.tapes[tape.symbol]:
            summaries = self._exchange.sources[tape.symbol]["ticker"]
        else:
            summaries = sources(tape)["ticker"]
        assert isinstance(summaries, Summaries)  # noqa: S101 - for the type checker
        return summaries

    def _exchangeInfo(self, query: dict[str, str], unit: TimeUnit) -> str:  # noqa: N802
        wanted = [query["symbol"]] if "symbol" in query else list(self._exchange.tapes)
        if "symbols" in query:
            try:
                wanted = [str(name) for name in json.loads(query["symbols"])]
            except (ValueError, TypeError):
                raise ApiError(-1100, "Illegal characters found in parameter 'symbols'.") from None
        if not self._exchange.tapes.keys() >= set(wanted):
            raise ApiError(-1121, "Invalid symbol.")
        infos = [
            _symbol_info(self._exchange.tapes[name], "BREAK" if name == self._halted else "TRADING")
            for name in wanted
        ]
        status = query.get("symbolStatus")
        now = self._exchange.clock.microseconds()
        limit = {
            "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
            "limit": self._budget.limit,
        }  # fmt: skip
        info = {
            "timezone": "UTC",
            "serverTime": now if unit == "us" else now // 1000,
            "rateLimits": [limit],
            "exchangeFilters": [],
            "symbols": [each for each in infos if status in (None, each["status"])],
        }
        return json.dumps(info, ensure_ascii=False, separators=(",", ":"))

    def _tape(self, query: dict[str, str]) -> SymbolTape | None:
        """Return the tape of the symbol; None for one that only a recording knows."""
        symbol = query.get("symbol")
        if not symbol:
            message = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            raise ApiError(-1102, message)
        if symbol in self._recorded:
            return None
        if symbol not in self._exchange.tapes:
            raise ApiError(-1121, "Invalid symbol.")
        return self._tapes[symbol]


def _page(tape: SymbolTape, stream: str, query: dict[str, str], end: int) -> tuple[int, int]:
    """Return the first and the last index + 1 of what `fromId` and `limit` ask for."""
    limit = _limit(query)
    from_id = _integer(query, "fromId")
    begin = (
        max(tape.begin_of_ids(stream), end - limit)
        if from_id is None
        else tape.index_of(stream, from_id)
    )
    return begin, min(end, begin + limit)


def weight_of(name: str, query: Mapping[str, str]) -> int:
    """Return what a request costs; that for a book by its depth, the least where it has none."""
    limit = query.get("limit", "")
    if name != "depth" or not limit.isdecimal():
        return WEIGHTS[name]
    levels = int(limit) if len(limit) < 5 else _DEPTH_MAX
    return next(weight for up_to, weight in _DEPTH_WEIGHTS if min(levels, _DEPTH_MAX) <= up_to)


def _limit(query: dict[str, str], default: int = _DEFAULT_LIMIT, most: int = _MAX_LIMIT) -> int:
    limit = _integer(query, "limit")
    if limit == 0:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(default if limit is None else limit, most)


def _integer(query: dict[str, str], key: str) -> int | None:
    text = query.get(key)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise ApiError(
            -1100,
            f"Illegal characters found in parameter '{key}'; legal range is '^[0-9]{{1,20}}$'.",
        )
    return int(text)


def _microseconds(time: int, *, last: bool = False) -> int:
    """Return a request's time in µs: the exchange takes ms and µs and tells them by their size."""
    if time > 10**14:
        return time
    return time * 1000 + (999 if last else 0)


def _symbol_info(tape: SymbolTape, status: str) -> dict[str, object]:
    quote = next((each for each in ("USDT", "BTC", "ETH") if tape.symbol.endswith(each)), "")
    return {
        "symbol": tape.symbol,
        "status": status,
        "baseAsset": tape.symbol.removesuffix(quote),
        "quoteAsset": quote,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": decimal(tape.instrument.tick)},
            {"filterType": "LOT_SIZE", "stepSize": decimal(tape.instrument.lot)},
        ],
    }


def _array(items: object) -> str:
    return f"[{','.join(items)}]"  # type: ignore[arg-type]


def _error(code: int, message: str) -> str:
    return json.dumps({"code": code, "msg": message}, separators=(",", ":"))
