"""Frames that a client must survive, made from a good payload. Pure.

Each variant keeps the event's own id where it can: a client that lets one through stores a wrong
record under a right id, and any comparison with the tape shows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from simulator.frames import BINARY, CONTINUATION, TEXT, frame
from simulator.payloads import combined

_OVERSIZED_BYTES = 2 << 20  # twice what our own client accepts; the largest real ones are < 100 kB
_YEAR_2100_MILLISECONDS = 4_102_444_800_000


def _price_key(data: dict[str, Any]) -> str:
    if "Ticker" in data.get("e", ""):
        return "c"
    return next(key for key in ("p", "w", "bids", "b") if key in data)


def _without_a_field(data: dict[str, Any]) -> None:
    data = data.get("k", data)
    del data["c" if "x" in data else _price_key(data)]


def _set_price(value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        if data.get("e") == "depthUpdate":
            (data["b"] or data["a"])[0][0] = value
        elif "bids" in data:
            (data["bids"] or data["asks"])[0][0] = value
        elif "k" in data:
            data["k"]["c"] = value
        else:
            data[_price_key(data)] = value

    return change


def _wrong_types(data: dict[str, Any]) -> None:
    data = data.get("k", data)
    key = next(
        key for key in ("t", "a", "u", "E", "lastUpdateId") if isinstance(data.get(key), int)
    )
    data[key] = str(data[key])


def _absurd_time(data: dict[str, Any]) -> None:
    data["E"] = data["T"] = _YEAR_2100_MILLISECONDS * 1000  # 2100 in µs, far beyond in ms


def _other_symbol(data: dict[str, Any]) -> None:
    data["s"] = "ETHUSDT" if data.get("s") != "ETHUSDT" else "BTCUSDT"


def _set(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data[key] = value

    return change


_CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "wrong_types": _wrong_types,
    "missing_field": _without_a_field,
    "negative_price": _set_price("-1.00000000"),
    "zero_price": _set_price("0.00000000"),
    "nan_price": _set_price("NaN"),
    "infinite_price": _set_price("Infinity"),
    "price_no_number": _set_price("12,5"),
    "absurd_time": _absurd_time,
    "unknown_symbol": _set("s", "NOSUCHUSDT"),
    "other_symbol": _other_symbol,
    "unknown_event": _set("e", "somethingNew"),
    "other_price": _set_price("1.00000000"),
}
_NEEDS_EVENT_TYPE = ("absurd_time", "unknown_event")  # which tops of books do not have
_MAY_BE_ZERO = ("24hrTicker", "24hrMiniTicker", "avgPrice")  # prices where nobody traded
_TEXTS: dict[str, Callable[[str], str]] = {
    "not_json": lambda text: "<html>502 Bad Gateway</html>",
    "truncated": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "null": lambda text: "null",
    "array": lambda text: f"[{text}]",
    "unknown_stream": lambda text: '{"stream":"nosuch@thing","data":{"e":"thing"}}',
    "deep": lambda text: "[" * 10_000 + "]" * 10_000,
}
_FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "binary": lambda payload: frame(BINARY, payload),
    "invalid_utf8": lambda payload: frame(TEXT, payload.replace(b'"s":"', b'"s":"\xff\xfe', 1)),
    "oversized": lambda payload: frame(TEXT, payload[:-1] + b" " * _OVERSIZED_BYTES + b"}"),
    "reserved_bit": lambda payload: (
        bytes((frame(TEXT, payload)[0] | 0x40,)) + frame(TEXT, payload)[1:]
    ),
    "unknown_opcode": lambda payload: frame(0x3, payload),
    "masked": lambda payload: b"\x81\x82\x00\x00\x00\x00{}",
    "stray_continuation": lambda payload: frame(CONTINUATION, payload),
}
VARIANTS = (*_CHANGES, *_TEXTS, *_FRAMES)
FATAL = (
    "invalid_utf8",
    "oversized",
    "reserved_bit",
    "unknown_opcode",
    "masked",
    "stray_continuation",
)
"""Variants after which a client may or must close the connection: the protocol is broken."""
WRONG = ("other_price",)
"""Variants that are well-formed and say something that did not happen."""
HARMLESS = tuple(variant for variant in VARIANTS if variant not in (*FATAL, *WRONG))
"""Variants that spoil one message only; `all` means these."""


def frames_of(variant: str, name: str, payload: str, *, wrapped: bool) -> list[bytes]:
    """Return the bad frames of a variant (`all`: each harmless one) for an event's payload."""
    if variant == "all":
        return [bad for each in HARMLESS for bad in frames_of(each, name, payload, wrapped=wrapped)]
    if variant in _CHANGES:
        data = json.loads(payload)
        if variant in _NEEDS_EVENT_TYPE and "e" not in data:
            return []
        if variant == "zero_price" and data.get("e") in _MAY_BE_ZERO:
            return []
        _CHANGES[variant](data)
        payload = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    text = combined(name, payload) if wrapped else payload
    if variant in _TEXTS:
        text = _TEXTS[variant](text)
    if variant in _FRAMES:
        return [_FRAMES[variant](text.encode())]
    return [frame(TEXT, text.encode())]
