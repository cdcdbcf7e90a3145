"""Small programs that leak, or only look like it: `python -m benchmarks.leaks.programs NAME`.

A line on stdin lets a program live through a minute, or collect and trim; it answers with a line.
What is allocated is real, only time is compressed.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass

MIB = 1 << 20
MINUTES_PER_HOUR = 60
LEAK_MIB_PER_HOUR = 5.0
SMALL_LEAK_MIB_PER_HOUR = 2.0
HOURS_BETWEEN_ROTATIONS = 4

_libc = ctypes.CDLL(None)
_libc.malloc.restype = ctypes.c_void_p
_libc.malloc.argtypes = (ctypes.c_size_t,)
_libc.realloc.restype = ctypes.c_void_p
_libc.realloc.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


@dataclass(frozen=True, slots=True)
class Minute:
    """What happens to a program."""

    number: int
    messages: int
    rotates: bool


Program = Generator[None, Minute, None]


def work(random_: random.Random) -> None:
    """Use some memory for a moment, as everyone does."""
    [os.urandom(random_.randrange(100, 4000)) for _ in range(random_.randrange(200, 800))]


def _per_minute(mib_per_hour: float) -> bytes:
    return os.urandom(round(mib_per_hour * MIB / MINUTES_PER_HOUR))


# Healthy ------------------------------------------------------------------------------------------


def plain() -> Program:
    """Work, and keep nothing."""
    chance = random.Random(1)
    while True:
        yield
        work(chance)


def cache_warm_up() -> Program:
    """Fill a bounded cache ever more slowly: what is asked for is ever more often there."""
    chance = random.Random(2)
    cache: OrderedDict[int, bytes] = OrderedDict()
    while True:
        yield
        work(chance)
        for _ in range(60):
            key = chance.randrange(5000)
            cache[key] = cache.pop(key, b"") or os.urandom(8000)
            if len(cache) > 4000:
                cache.popitem(last=False)


def saw_tooth() -> Program:
    """Make garbage in cycles, which a collector takes away every 50 minutes."""
    chance = random.Random(3)
    gc.disable()
    while True:
        minute = yield
        work(chance)
        for _ in range(60):
            cycle: list[object] = [os.urandom(8000)]
            cycle.append(cycle)
        if minute.number % 50 == 49:
            gc.collect()


def load() -> Program:
    """Hold what the load of the hour needs."""
    chance = random.Random(4)
    hoard: list[bytes] = []
    while True:
        minute = yield
        work(chance)
        wanted = minute.messages // 2
        hoard.extend(os.urandom(3000) for _ in range(wanted - len(hoard)))
        del hoard[wanted:]


def rotations() -> Program:
    """Take a second connection's buffers at each rotation, and give the first one's back."""
    chance = random.Random(5)
    buffers = [os.urandom(1000) for _ in range(8000)]
    while True:
        minute = yield
        work(chance)
        if minute.rotates:
            buffers[:] = [os.urandom(1000) for _ in range(8000)]


def fragmentation() -> Program:
    """Give back all of each block but its beginning: no later one fits into the hole."""
    size = 40_000
    while True:
        yield
        size += 32
        blocks = [_libc.malloc(size) for _ in range(4)]  # the last hole joins what is free
        for block in blocks:
            ctypes.memset(block, 1, size)
            _libc.realloc(block, 24)  # in place


# Leaking ------------------------------------------------------------------------------------------


def list_growth(mib_per_hour: float = LEAK_MIB_PER_HOUR) -> Program:
    """Append to a list that nobody reads."""
    chance = random.Random(7)
    kept = []
    while True:
        yield
        work(chance)
        kept.append(_per_minute(mib_per_hour))


def small_list_growth() -> Program:
    """Do the same, more slowly."""
    return list_growth(SMALL_LEAK_MIB_PER_HOUR)


def subjects() -> Program:
    """Remember every subject that was ever seen; the dict itself doubles now and then."""
    chance = random.Random(8)
    seen: dict[str, dict[str, float]] = {}
    while True:
        minute = yield
        work(chance)
        for number in range(220):
            subject = f"subject-{minute.number}-{number}"
            seen[subject] = {"first": float(minute.number), "count": 1.0}


def native() -> Program:
    """Forget to free what the C library gave."""
    chance = random.Random(9)
    while True:
        yield
        work(chance)
        for _ in range(16):
            size = round(LEAK_MIB_PER_HOUR * MIB / MINUTES_PER_HOUR / 16)
            ctypes.memset(_libc.malloc(size), 1, size)


def per_message() -> Program:
    """Keep something of every message; their rate changes over the day."""
    chance = random.Random(10)
    kept = []
    while True:
        minute = yield
        work(chance)
        # 360,000 messages an hour, of which 14.6 bytes each stay.
        kept.append(os.urandom(round(minute.messages * LEAK_MIB_PER_HOUR * MIB / 360_000)))


def per_rotation() -> Program:
    """Keep the buffers of each connection that was replaced."""
    chance = random.Random(11)
    kept = []
    while True:
        minute = yield
        work(chance)
        if minute.rotates:
            count = round(LEAK_MIB_PER_HOUR * HOURS_BETWEEN_ROTATIONS * MIB / 1000)
            kept.append([os.urandom(960) for _ in range(count)])


def leak_behind_saw_tooth() -> Program:
    """Leak among garbage in cycles."""
    inner, leak = saw_tooth(), list_growth()
    next(inner)
    next(leak)
    while True:
        minute = yield
        inner.send(minute)
        leak.send(minute)


def late() -> Program:
    """Leak from the tenth hour on."""
    chance = random.Random(12)
    kept = []
    while True:
        minute = yield
        work(chance)
        if minute.number >= 10 * MINUTES_PER_HOUR:
            kept.append(_per_minute(LEAK_MIB_PER_HOUR))


HEALTHY: dict[str, Callable[[], Program]] = {
    one.__name__: one for one in (plain, cache_warm_up, saw_tooth, load, rotations, fragmentation)
}
LEAKING: dict[str, Callable[[], Program]] = {
    one.__name__: one
    for one in (
        list_growth,
        small_list_growth,
        subjects,
        native,
        per_message,
        per_rotation,
        leak_behind_saw_tooth,
        late,
    )
}


def main() -> None:
    """Live through what stdin tells."""
    program = (HEALTHY | LEAKING)[sys.argv[1]]()
    next(program)
    for line in sys.stdin:
        match line.split():
            case ["collect"]:
                found = gc.collect()
                sys.stdout.write(f"{found} {_libc.malloc_trim(0)}\n")
            case ["minute", number, messages, rotates]:
                program.send(Minute(int(number), int(messages), rotates == "1"))
                sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
