"""Events as the exchange writes them: JSON of the WebSocket streams and of REST.

Written by hand, not by a JSON encoder: key order, spacing and eight decimals are the exchange's,
and it is the simulator's hottest path.
"""

from __future__ import annotations

import json
from typing import Literal

from simulator.tape import EVENT_DELAY_MICROSECONDS, Aggregate, BookTicker, Event, Trade

TimeUnit = Literal["ms", "us"]
DIVISOR = {"ms": 1000, "us": 1}  # from microseconds
UNIT = 10**8  # of prices and quantities
FLAG = ("false", "true")


def time_unit(text: str) -> TimeUnit:
    """Return the unit that a `timeUnit` parameter or X-MBX-TIME-UNIT header names.

    Raises ValueError for anything but the documented spellings.
    """
    units: dict[str, TimeUnit] = {"MILLISECOND": "ms", "MICROSECOND": "us"}
    if text not in {*units, *map(str.lower, units)}:
        raise ValueError(f"{text!r} is no time unit; expected MILLISECOND or MICROSECOND")
    return units[text.upper()]


def decimal(units: int) -> str:
    """Return an integer of 1e-8 with eight decimals."""
    whole, part = divmod(units, UNIT)
    return f"{whole}.{part:08d}"


def stream_payload(symbol: str, event: Event, unit: TimeUnit) -> str:
    """Return the raw payload of an event on its WebSocket stream."""
    name = json.dumps(symbol, ensure_ascii=False)
    if isinstance(event, BookTicker):  # has neither event type nor time
        return (
            f'{{"u":{event.id},"s":{name},"b":"{decimal(event.bid)}",'
            f'"B":"{decimal(event.bid_quantity)}","a":"{decimal(event.ask)}",'
            f'"A":"{decimal(event.ask_quantity)}"}}'
        )
    divisor = DIVISOR[unit]
    happened = (event.time + EVENT_DELAY_MICROSECONDS) // divisor
    if isinstance(event, Trade):
        head = f'"trade","E":{happened},"s":{name},"t":{event.id}'
        middle = ""
    else:
        head = f'"aggTrade","E":{happened},"s":{name},"a":{event.id}'
        middle = f'"f":{event.first},"l":{event.last},'
    return (
        f'{{"e":{head},"p":"{decimal(event.price)}","q":"{decimal(event.quantity)}",'
        f'{middle}"T":{event.time // divisor},"m":{FLAG[event.buyer_is_maker]},"M":true}}'
    )


def combined(stream_name: str, payload: str) -> str:
    """Return a payload in the wrapper of combined streams."""
    return f'{{"stream":{json.dumps(stream_name, ensure_ascii=False)},"data":{payload}}}'


def server_shutdown(microseconds: int, unit: TimeUnit, *, wrapped: bool) -> str:
    """Return the announcement that this server is about to close its connections."""
    payload = f'{{"e":"serverShutdown","E":{microseconds // DIVISOR[unit]}}}'
    return combined("!serverShutdown", payload) if wrapped else payload


def rest_trade(trade: Trade, unit: TimeUnit) -> str:
    """Return an element of `trades` and `historicalTrades`."""
    quote = decimal(trade.price * trade.quantity // UNIT)
    return (
        f'{{"id":{trade.id},"price":"{decimal(trade.price)}","qty":"{decimal(trade.quantity)}",'
        f'"quoteQty":"{quote}","time":{trade.time // DIVISOR[unit]},'
        f'"isBuyerMaker":{FLAG[trade.buyer_is_maker]},"isBestMatch":true}}'
    )


def rest_aggregate(aggregate: Aggregate, unit: TimeUnit) -> str:
    """Return an element of `aggTrades`."""
    return (
        f'{{"a":{aggregate.id},"p":"{decimal(aggregate.price)}",'
        f'"q":"{decimal(aggregate.quantity)}","f":{aggregate.first},"l":{aggregate.last},'
        f'"T":{aggregate.time // DIVISOR[unit]},"m":{FLAG[aggregate.buyer_is_maker]},"M":true}}'
    )
