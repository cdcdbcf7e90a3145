"""Every setting of the simulator, read from its command line.

Defaults are the real exchange's documented numbers (web-socket-streams.md and rest-api.md of
Binance Spot, 2026) where it has one; each can be set, so that a day passes in a minute.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from simulator import faults, units

PORT_MAX = 65_535


def duration(text: str) -> float:
    """Return the seconds of a duration; raises argparse.ArgumentTypeError (for people)."""
    try:
        return units.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def signed_duration(text: str) -> float:
    """As `duration`, and below 0 with a minus before it."""
    return -duration(text[1:]) if text.startswith("-") else duration(text)


def interval(text: str) -> float:
    """Return the seconds of a duration above 0; raises argparse.ArgumentTypeError."""
    if (value := duration(text)) > 0:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is no time; expected anything above 0")


def symbol_weights(text: str) -> dict[str, float]:
    """Return weights by symbol from `BTCUSDT,ETHUSDT=0.5`; without a number the weight is 1.

    Raises argparse.ArgumentTypeError.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if not name or name != name.upper() or set(name) & set("@/ \"'\\!"):
            raise argparse.ArgumentTypeError(f"{part!r} is no symbol; expected BTCUSDT")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            weights[name] = 0.0
        if not 0 < weights[name] < float("inf"):
            raise argparse.ArgumentTypeError(f"{part!r}: a weight is a number above 0")
    return weights


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to {PORT_MAX}")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; expected 0 to 1")
    return number


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective settings; durations in seconds, names as on the command line."""

    host: str
    port: int
    rest_port: int
    control_port: int
    plain: bool
    directory: Path | None
    die_with_parent: bool
    seed: int
    symbols: dict[str, float]
    rate: float
    book_ratio: float
    burst_factor: float
    burst_period: float
    burst_length: float
    first_trade_id: int
    first_agg_trade_id: int
    first_update_id: int
    no_trade_every: int
    clock_ahead: float
    history: float
    start_time: float | None
    tick: float
    lag: float
    ping_interval: float
    pong_timeout: float
    max_connection_age: float
    message_limit: int
    stream_limit: int
    attempt_limit: int
    attempt_window: float
    large_frame_bytes: int
    large_frame_delay: float
    refused_streams: frozenset[str]
    buffer_limit: int
    weight_limit: int
    ban_after: int
    ban_time: float
    rest_lag: float
    rest_nasty: float
    fault: tuple[str, ...]
    replay: Path | None
    replay_speed: float
    replay_delay: float


def parse(arguments: list[str] | None = None) -> Settings:
    """Return the settings of a command line (None: of this process); exits with 2 on errors."""
    values = vars(_parser().parse_args(arguments))
    values["fault"] = tuple(values["fault"])
    return Settings(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A Binance Spot look-alike on loopback, with faults on demand.\n"
        "Once it listens it prints one JSON line with its addresses; TERM and INT end it.",
        epilog=f"Durations: 500ms, 20s, 5m, 4h, or seconds.\n\n{faults.overview()}",
        formatter_class=_Formatter,
    )
    _add_server(parser.add_argument_group("server"))
    _add_tape(parser.add_argument_group("tape: what is traded, the same for the same seed"))
    _add_websocket(parser.add_argument_group("websocket: the exchange's documented behaviour"))
    _add_rest(parser.add_argument_group("rest"))
    _add_rehearsal(parser.add_argument_group("faults and replay"))
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults in the help, line ends of the epilog as they are."""


def _add_server(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; meant for loopback only")
    add("--port", type=_port, default=0, help="of the WebSocket streams; 0 takes a free one")
    add("--rest-port", type=_port, default=0, help="of /api/v3; apart, as at the exchange")
    add("--control-port", type=_port, default=0, help="of the control API (plain HTTP)")
    add("--plain", action="store_true", help="ws and http without TLS")
    add("--directory", type=Path, help="for ca.pem and its key; without one a temporary one serves")
    add("--die-with-parent", action="store_true", help="end when the parent process ends (Linux)")


def _add_tape(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--seed", type=int, default=1, help="prices, quantities, rhythm: all follow from it")
    add("--symbols", type=symbol_weights, default="BTCUSDT,ETHUSDT,BNBUSDT",
        help="comma separated; SYMBOL=0.01 trades at a hundredth of the others' rate")  # fmt: skip
    add("--rate", type=_positive, default=100.0,
        help="trades per second over all symbols, outside bursts; 100 is a normal day")  # fmt: skip
    add("--book-ratio", type=_positive, default=1.0, help="bookTicker updates per trade")
    add("--burst-factor", type=_positive, default=1.0, help="rate within a burst, as a multiple")
    add("--burst-period", type=interval, default=60.0, help="from one burst to the next")
    add("--burst-length", type=duration, default=2.0, help="of a burst")
    add("--first-trade-id", type=int, default=5_000_000_000, help="above 32 bits, as for BTCUSDT")
    add("--first-agg-trade-id", type=int, default=3_000_000_000, help="as above")
    add("--first-update-id", type=int, default=70_000_000_000, help="as above")
    add("--no-trade-every", type=int, default=0,
        help="one trade in so many has the quantity 0; 0: none has")  # fmt: skip
    add("--clock-ahead", type=signed_duration, default=0.0,
        help="how far the exchange's clock is ahead of this machine's; may be below 0")  # fmt: skip
    add("--history", type=duration, default=60.0, help="how much tape there is before the start")
    add("--start-time", type=_positive,
        help="Unix time at which the tape begins (default: now less the history); give the "
        "same to a second run and it continues the tape of the first")  # fmt: skip


def _add_websocket(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--tick", type=interval, default=0.002, help="events closer than this leave together")
    add("--lag", type=duration, default=0.005,
        help="longest delivery delay; every connection draws one of its own")  # fmt: skip
    add("--ping-interval", type=interval, default=20.0, help="between the server's pings")
    add("--pong-timeout", type=interval, default=60.0, help="for the echo of a ping, then 1008")
    add("--max-connection-age", type=interval, default=86400.0, help="then the server closes")
    add("--message-limit", type=int, default=5,
        help="PING, PONG and JSON from a client within a second; more is 1008")  # fmt: skip
    add("--stream-limit", type=int, default=1024, help="streams per connection")
    add("--attempt-limit", type=int, default=300, help="connection attempts per window")
    add("--attempt-window", type=interval, default=300.0, help="of the attempt limit")
    add("--large-frame-bytes", type=int, default=4096, help="a control frame above is slow")
    add("--large-frame-delay", type=duration, default=10.0, help="how slow (observed by users)")
    add("--refused-streams", type=lambda text: frozenset(text.split(",")), default=frozenset(),
        help="such as bnbusdt@trade: a SUBSCRIBE with one of them is refused")  # fmt: skip
    add("--buffer-limit", type=int, default=64 << 20,
        help="unsent bytes after which a slow reader is dropped: it is our memory")  # fmt: skip


def _add_rest(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--weight-limit", type=int, default=6000, help="request weight per minute, then 429")
    add("--ban-after", type=int, default=20, help="requests while on 429 that lead to 418")
    add("--ban-time", type=duration, default=120.0, help="of a 418; the exchange's shortest")
    add("--rest-lag", type=duration, default=0.0, help="how far REST is behind the streams")
    add("--rest-nasty", type=_share, default=0.0,
        help="share of the requests that something happens to: an error, a limit with "
        "Retry-After, HTML, a lag, a short or an empty page, a slow answer")  # fmt: skip


def _add_rehearsal(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--fault", action="append", default=[], metavar="'at=30s kind=reset'",
        help="repeatable; the same keys as in POST /faults")  # fmt: skip
    add("--replay", type=Path, metavar="FILE", help="recorded frames instead of the tape")
    add("--replay-speed", type=duration, default=1.0, help="of real time; 0 is as fast as possible")
    add("--replay-delay", type=duration, default=0.5,
        help="from the first subscription to the first frame, so that more can follow")  # fmt: skip
