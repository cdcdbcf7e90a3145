"""What goes wrong in a fault campaign, and when: all of it follows from the seed. Pure.

Every kind of fault that the simulator knows is in the deck, and the deck is dealt again when it
is used up, so that a run of some length has met them all; rotations are asked for at the moments
where they hurt most: just after a fault, within a rotation, while a gap is open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from simulator.faults import KINDS
from simulator.malformed import VARIANTS, WRONG

Value = str | int | float

SPACING_SECONDS = 1.3  # between two faults on average: several are at work at any moment
OUTAGE_SECONDS = (2.0, 14.0)  # of the broker, beside the seconds that it needs to start
WITHHELD_MAX = 60
FAST = ("trade", "aggTrade", "bookTicker", "depth@100ms")  # many events a second
SLOW_MAX = 5  # events of the other streams, so that a fault ends
LOWER = 100  # by this ids begin below those of the last time, or nobody could tell them
FIRST_IDS_BELOW = 10**9
_ONE_STREAM = ("withhold", "duplicate", "reorder", "malformed", "fragment")
_EVENTS = ("stall", "withhold", "duplicate", "reorder", "burst", "malformed", "fragment")


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done `at` seconds after the beginning: a fault, or an action of ours."""

    at: float
    action: str  # a kind of fault, or rotate, kill, symbols, broker
    arguments: dict[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        arguments = " ".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"{self.at:6.2f} s  {self.action} {arguments}".rstrip()


def plan(
    seed: int,
    seconds: float,
    symbols: tuple[str, ...],
    streams: tuple[str, ...],
    *,
    kill: bool = True,
    broker: bool = False,
    change: bool = True,
) -> list[Step]:
    """Return the steps of a seed, in their order; the last faults end some seconds after."""
    random = Random(f"campaign {seed}")
    steps: list[Step] = []
    deck: list[str] = []
    at = random.uniform(0.0, SPACING_SECONDS)
    while at < seconds:
        if not deck:
            deck = list(KINDS)
            random.shuffle(deck)
        kind = deck.pop()
        arguments = _ARGUMENTS.get(kind, _plain)(random)
        if kind == "ids_anew":
            before = sum(step.action == kind for step in steps)
            arguments["first_id"] = FIRST_IDS_BELOW // LOWER ** (before + 1)
            if random.random() < 0.5:
                arguments["symbol"] = random.choice(symbols)
        if kind in _EVENTS:
            arguments |= _where(random, symbols, streams)
            if kind in _ONE_STREAM and "symbol" not in arguments:
                # One that stays: of a symbol that is removed, the count would never be reached.
                arguments["symbol"] = Random(f"symbol {seed} {at}").choice(symbols)
            if slow := [stream for stream in streams if stream not in FAST]:
                arguments = _in_time(random, arguments, slow, streams)
        steps += [Step(at, kind, arguments), *_rotations(random, at, kind)]
        at += random.expovariate(1 / SPACING_SECONDS)
    if kill:
        steps += [
            Step(_bad_moment(random, steps, seconds), "kill")
            for _ in range(random.choice((1, 1, 2)))
        ]
    if broker:
        at = random.uniform(0.1, 0.6) * seconds
        how = random.choice(("stop", "kill"))
        away = round(random.uniform(*OUTAGE_SECONDS), 1)
        steps.append(Step(at, "broker", {"how": how, "seconds": away}))
    if change:
        steps += _changes(seed, seconds)
    return sorted(steps, key=lambda step: step.at)


def clock_ahead(seed: int) -> str:
    """Return how far the exchange's clock is ahead in a seed: right, off a little, or minutes."""
    return Random(f"clock {seed}").choice(("0s", "2s", "-2s", "600s", "-600s"))


def _changes(seed: int, seconds: float) -> list[Step]:
    """Return when a further symbol is added, removed, added again, …: SIGHUP each time."""
    random = Random(f"symbols {seed}")  # of its own: the other steps of a seed stay as they are
    moments = (random.uniform(0.0, seconds) for _ in range(random.randint(1, 5)))
    return [Step(at, "symbols") for at in sorted(moments)]


def _rotations(random: Random, at: float, kind: str) -> list[Step]:
    """Return rotations at a bad moment: with the fault, and within the first of them."""
    if random.random() > (0.6 if kind in ("withhold", "stall", "reset", "no_answer") else 0.25):
        return []
    first = at + random.uniform(0.0, 1.2)
    steps = [Step(first, "rotate")]
    if random.random() < 0.3:
        steps.append(Step(first + random.uniform(0.0, 0.3), "rotate"))
    return steps


def _bad_moment(random: Random, steps: list[Step], seconds: float) -> float:
    """Return when to kill: anywhere, or just after something else has begun."""
    if random.random() < 0.4 or not steps:
        return random.uniform(0.1, 0.9) * seconds
    return min(random.choice(steps).at, 0.9 * seconds) + random.uniform(0.0, 1.0)


def _where(random: Random, symbols: tuple[str, ...], streams: tuple[str, ...]) -> dict[str, Value]:
    where: dict[str, Value] = {}
    if random.random() < 0.5:
        where["symbol"] = random.choice(symbols)
    if random.random() < 0.5:
        where["stream"] = random.choice(streams)
    return where


def _in_time(
    random: Random, arguments: dict[str, Value], slow: list[str], streams: tuple[str, ...]
) -> dict[str, Value]:
    """Name the stream, and count fewer events where one comes each second."""
    stream = arguments.get("stream", random.choice(streams))
    arguments = {**arguments, "stream": stream}
    if "count" in arguments and stream in slow:
        arguments["count"] = min(int(arguments["count"]), SLOW_MAX)
    return arguments


def _plain(random: Random) -> dict[str, Value]:
    return {}


def _lasting(low: float, high: float) -> Callable[[Random], dict[str, Value]]:
    return lambda random: {"duration": round(random.uniform(low, high), 1)}


def _counted(high: int) -> Callable[[Random], dict[str, Value]]:
    return lambda random: {"count": random.randint(1, high)}


def _malformed(random: Random) -> dict[str, Value]:
    # Not what is well-formed and did not happen: told before the truth, nobody can tell it.
    told = tuple(variant for variant in VARIANTS if variant not in WRONG)
    return {"variant": random.choice(("all", *told))}


def _refused(random: Random) -> dict[str, Value]:
    return {**_lasting(1.0, 5.0)(random), "how": random.choice(("tcp", "503", "hang"))}


def _rest_error(random: Random) -> dict[str, Value]:
    return {
        **_lasting(1.0, 5.0)(random),
        "status": random.choice((400, 403, 418, 429, 500, 503)),
        "retry_after": random.choice((1, 2)),  # without it a limit means a minute's pause
    }


_ARGUMENTS: dict[str, Callable[[Random], dict[str, Value]]] = {
    "close": lambda random: {"code": random.choice((1000, 1001, 1006, 1008, 1011))},
    "half_open": _lasting(2.0, 7.0),
    "stall": _lasting(0.5, 5.0),
    "silent_connection": _lasting(2.0, 7.0),
    "server_shutdown": lambda random: {"grace": round(random.uniform(0.3, 4.0), 1)},
    "refuse_connections": _refused,
    "withhold": _counted(WITHHELD_MAX),
    "duplicate": _counted(60),
    "reorder": _counted(30),
    "burst": _counted(400),
    "malformed": _malformed,
    "fragment": _counted(60),
    "no_pong": _lasting(2.0, 8.0),
    "no_answer": _lasting(1.0, 6.0),
    "rest_error": _rest_error,
    "rest_html": lambda random: {
        **_lasting(1.0, 5.0)(random), "http_status": random.choice((200, 502)),
    },
    "rest_lag": lambda random: {
        **_lasting(1.0, 6.0)(random), "lag": round(random.uniform(0.5, 4.0), 1),
    },
    "rest_short": lambda random: {**_lasting(1.0, 6.0)(random), "count": random.randint(1, 20)},
    "rest_empty": _lasting(1.0, 5.0),
    "rest_slow": lambda random: {
        **_lasting(1.0, 5.0)(random), "delay": round(random.uniform(0.2, 3.0), 1),
    },
    "rest_other_venue": _lasting(1.0, 5.0),
}  # fmt: skip
"""How the arguments of a kind are drawn; a kind that is not here gets its defaults."""
