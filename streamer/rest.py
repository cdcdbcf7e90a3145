"""The exchange's REST interface: a question, and an answer or a trouble. Blocks; one thread.

Nothing here raises for what a server does: every outcome is an `Answer` or a `Trouble`. Endpoints,
weights and headers are those of the exchange's rest-api.md (2026).
"""

from __future__ import annotations

import itertools
import ssl
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import urllib3

from streamer.config import ExchangeConfig
from streamer.events import AggTrade, Trade, Whole

ANSWER_BYTES_MAX = 4 << 20  # 1000 trades take 200 kB
_CHUNK_BYTES = 64 << 10
THROTTLED_SECONDS = 60.0  # where a 429 or 418 tells no time: the budget's minute
BLOCKED_SECONDS = 60.0  # 403, the firewall, tells none either

TroubleKind = Literal["throttled", "blocked", "refused", "unavailable"]
"""429 or 418; 403; another 4xx, which no repetition will heal; 5xx, network, time, no JSON."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: an endpoint below `/api/v3/`, its parameters and its weight."""

    endpoint: str
    parameters: tuple[tuple[str, str], ...]
    weight: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a good answer; Unix times in seconds."""

    body: bytes
    asked_at: float
    answered_at: float
    used_weight: int | None = None  # by everybody at this IP in the exchange's minute


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no answer; `wait_seconds` is what the exchange asks for, for all requests."""

    kind: TroubleKind
    detail: str
    wait_seconds: float = 0.0
    used_weight: int | None = None


class _RestTrade(msgspec.Struct, gc=False):
    id: Whole
    price: str
    qty: str
    time: Whole
    isBuyerMaker: bool  # noqa: N815 - the exchange's name


class _RestAggTrade(msgspec.Struct, gc=False):
    a: Whole
    p: str
    q: str
    f: Whole
    l: Whole  # noqa: E741 - the exchange's name
    T: Whole
    m: bool


class _ServerTime(msgspec.Struct):
    serverTime: Annotated[int, msgspec.Meta(ge=0)]  # noqa: N815 - the exchange's name


TRADES_WEIGHT, AGG_TRADES_WEIGHT, TIME_WEIGHT = 25, 4, 1
PAGE_LIMIT = 1000
REPAIRABLE = ("trade", "aggTrade")
"""The kinds of stream whose past can be asked for by id."""


def page_question(kind: str, symbol: str, first_id: int, limit: int) -> Question:
    """Return the question for the events of a stream in REPAIRABLE from an id on."""
    endpoint, weight = (
        ("historicalTrades", TRADES_WEIGHT) if kind == "trade" else ("aggTrades", AGG_TRADES_WEIGHT)
    )
    parameters = (("symbol", symbol), ("fromId", str(first_id)), ("limit", str(limit)))
    return Question(endpoint, parameters, weight)


def latest_question(symbol: str) -> Question:
    """Return the question for the latest aggregate trade, which tells the latest trade too."""
    return Question("aggTrades", (("symbol", symbol), ("limit", "1")), AGG_TRADES_WEIGHT)


TIME_QUESTION = Question("time", (), TIME_WEIGHT)


def read_page(
    kind: str, symbol: str, body: bytes, *, in_milliseconds: bool = False
) -> list[Trade] | list[AggTrade]:
    """Return the events of an answer, in ascending order of ids, times in microseconds.

    REST does not tell when the exchange made the event: the trade's time stands for it.
    Raises ValueError for anything but the documented JSON.
    """
    factor = 1000 if in_milliseconds else 1
    if kind == "trade":
        return _ascending(
            [
                Trade("trade", each.time * factor, symbol, each.id, each.price, each.qty,
                      each.time * factor, each.isBuyerMaker)
                for each in _decode(_trades, body)
            ]
        )  # fmt: skip
    return _ascending(
        [
            AggTrade("aggTrade", each.T * factor, symbol, each.a, each.p, each.q, each.f, each.l,
                     each.T * factor, each.m)
            for each in _decode(_agg_trades, body)
        ]
    )  # fmt: skip


def read_time(body: bytes, *, in_milliseconds: bool = False) -> float:
    """Return the exchange's Unix time in seconds. Raises ValueError."""
    return _decode(_time, body).serverTime / (1e3 if in_milliseconds else 1e6)


_trades = msgspec.json.Decoder(list[_RestTrade])
_agg_trades = msgspec.json.Decoder(list[_RestAggTrade])
_time = msgspec.json.Decoder(_ServerTime)
_T = TypeVar("_T")
_EventT = TypeVar("_EventT", Trade, AggTrade)


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not the documented JSON: {error}") from error


def _ascending(events: list[_EventT]) -> list[_EventT]:
    for before, after in itertools.pairwise(events):
        if before.id >= after.id:
            raise ValueError(f"ids are not ascending: {after.id} after {before.id}")
    return events


class RestClient:
    """Asks, over one kept connection, with verified TLS and the settings' proxy."""

    def __init__(
        self, exchange: ExchangeConfig, ssl_context: ssl.SSLContext | None, timeout_seconds: float
    ) -> None:
        self._url = f"{exchange.rest_url}/api/v3/"
        self._timeout_seconds = timeout_seconds
        headers = {"Accept": "application/json", "User-Agent": "vigil"}
        if exchange.time_unit == "us":  # as on the WebSocket: a trade has one value
            headers["X-MBX-TIME-UNIT"] = "MICROSECOND"
        options: dict[str, Any] = {"retries": False, "headers": headers, "ssl_context": ssl_context}
        self._pool: urllib3.PoolManager = (
            urllib3.ProxyManager(exchange.proxy, **options)
            if exchange.proxy
            else urllib3.PoolManager(**options)
        )

    def ask(self, question: Question) -> Answer | Trouble:
        """Return the answer, or why there is none, within about the timeout."""
        asked_at, deadline = time.time(), time.monotonic() + self._timeout_seconds
        try:
            response = self._pool.request(
                "GET",
                self._url + question.endpoint,
                fields=dict(question.parameters),
                timeout=urllib3.Timeout(total=self._timeout_seconds),
                preload_content=False,
                redirect=False,
            )
            try:
                body = _read(response, deadline)
                response.release_conn()
            except BaseException:
                response.close()
                raise
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Trouble("unavailable", f"{question.endpoint}: {error}")
        return _outcome(question, response, body, asked_at, time.time())

    def close(self) -> None:
        """Close the kept connection."""
        self._pool.clear()


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Return the body. Raises ValueError when it takes too long, or is too long."""
    body = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
        if time.monotonic() > deadline:
            raise ValueError("the answer did not end in time")
    return bytes(body)


def _outcome(
    question: Question,
    response: urllib3.BaseHTTPResponse,
    body: bytes,
    asked_at: float,
    answered_at: float,
) -> Answer | Trouble:
    status, headers = response.status, response.headers
    used = _whole(headers.get("X-MBX-USED-WEIGHT-1M"))
    if status == 200:
        if body[:1] not in (b"[", b"{"):
            beginning = body[:60].decode("utf-8", "replace")
            text = f"{question.endpoint}: no JSON but {beginning!r}"
            return Trouble("unavailable", text, used_weight=used)
        return Answer(body, asked_at, answered_at, used)
    text = f"{question.endpoint}: HTTP {status}: {body[:200].decode('utf-8', 'replace')}"
    wait = float(_whole(headers.get("Retry-After")) or 0)
    if status in (429, 418):
        return Trouble("throttled", text, wait or THROTTLED_SECONDS, used)
    if status == 403:
        return Trouble("blocked", text, wait or BLOCKED_SECONDS, used)
    if 400 <= status < 500:
        return Trouble("refused", text, wait, used)
    return Trouble("unavailable", text, wait, used)  # 5xx, and redirects to pages for people


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
