"""What the kernel tells of a process, and its stacks: taken from outside, whatever it does.

A process that hangs, is stopped or grows too fast to answer can still be looked at. Reading takes
a lock in the subject, which may be held: whoever calls this has a thread for it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil

from streamer.strict_json import encode_readable

FILE_BYTES: Final = 4 << 20  # of each file: 10,000 mappings in smaps
MAPPINGS: Final = 50
STACKS_BYTES: Final = 1 << 20
STACKS_WITHIN_SECONDS: Final = 1.0  # faulthandler dumps within milliseconds
_SETTLED_SECONDS = 0.05
_FILES = ("status", "smaps_rollup", "wchan", "io", "limits", "cgroup", "smaps")  # cheap ones first
_HEX = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")


def gather(pid: int, stacks_file: Path, stacks_from: int, directory: Path) -> None:
    """Write into a directory what can be seen of a process. Raises OSError if that is not there.

    `stacks_from` is how long the stacks file was before the process was asked for its stacks.
    """
    for name in _FILES:
        put(directory / f"{name}.txt", _read(Path(f"/proc/{pid}/{name}")))
    put(directory / "mappings.txt", largest_mappings((directory / "smaps.txt").read_text()))
    put(directory / "threads.txt", "".join(_threads(pid)))
    put(directory / "sockets.json", encode_readable(_sockets(pid)).decode())
    put(directory / "stacks.txt", _stacks(pid, stacks_file, stacks_from))


def put(path: Path, text: str) -> None:
    """Write a file (0600)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)


def largest_mappings(smaps: str, shown: int = MAPPINGS) -> str:
    """Return the mappings with most resident memory, as a table in KiB, by the text of smaps."""
    totals: dict[str, dict[str, int]] = {}
    current: dict[str, int] = {}
    for line in smaps.splitlines():
        if _HEX.match(line):
            columns = line.split(maxsplit=5)
            name = columns[5] if len(columns) > 5 else "anonymous"
            current = totals.setdefault(name, {"Mappings": 0})
            current["Mappings"] += 1
            continue
        key, _, value = line.partition(":")
        if value.endswith("kB"):
            current[key] = current.get(key, 0) + int(value.split()[0])
    columns = ["Mappings", "Size", "Rss", "Pss", "Private_Dirty", "Swap"]
    rows = sorted(totals.items(), key=lambda item: item[1].get("Rss", 0), reverse=True)
    lines = ["".join(f"{column:>14}" for column in columns) + "  name (sizes in KiB)"]
    lines += [
        "".join(f"{row.get(column, 0):>14,}" for column in columns) + f"  {name}"
        for name, row in rows[:shown]
    ]
    return "\n".join(lines) + "\n"


def _read(path: Path, limit: int = FILE_BYTES) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(limit)
    except OSError as error:  # it ended meanwhile, or the kernel hides this one
        return f"not readable: {error.strerror}\n"


def _threads(pid: int) -> Iterator[str]:
    """Yield a line per thread: what it is, what it does, where in the kernel it waits."""
    try:
        tasks = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))
    except OSError as error:
        yield f"not readable: {error.strerror}\n"
        return
    for task in tasks:
        _, _, columns = _read(task / "stat").rpartition(")")
        state, *rest = columns.split() or ["?"]
        ticks = sum(map(int, rest[10:12])) if len(rest) > 12 else 0  # utime and stime of proc(5)
        seconds = ticks / os.sysconf("SC_CLK_TCK")
        name, waits = _read(task / "comm").strip(), _read(task / "wchan").strip()
        yield f"{task.name:>8} {name:<16} state {state}  {seconds:>9.2f} s CPU  waits in {waits}\n"


def _sockets(pid: int) -> list[dict[str, Any]] | str:
    """Return the sockets with their addresses, states and what waits in their queues."""
    try:
        found = psutil.Process(pid).net_connections(kind="all")
    except (psutil.Error, OSError) as error:
        return f"not readable: {error}"
    queues = dict(_queues(pid))
    return [
        {
            "fd": one.fd,
            "family": one.family.name,
            "type": one.type.name,
            "local": _address(one.laddr),
            "remote": _address(one.raddr),
            "status": one.status,
            **queues.get(_inode(pid, one.fd), {}),
        }
        for one in found
    ]


def _queues(pid: int) -> Iterator[tuple[str, dict[str, int]]]:
    for name in ("tcp", "tcp6"):
        for line in _read(Path(f"/proc/{pid}/net/{name}")).splitlines()[1:]:
            columns = line.split()  # sl local remote st tx:rx tr:tm retransmits uid timeout inode
            if len(columns) > 9:
                sent, _, received = columns[4].partition(":")
                yield (
                    columns[9],
                    {
                        "send_queue_bytes": int(sent, 16),
                        "receive_queue_bytes": int(received, 16),
                        "retransmits": int(columns[6], 16),
                    },
                )


def _inode(pid: int, descriptor: int) -> str:
    try:
        link = Path(f"/proc/{pid}/fd/{descriptor}").readlink()
    except OSError:
        return ""
    return str(link).removeprefix("socket:[").rstrip("]")


def _address(address: Any) -> str:  # noqa: ANN401 - psutil's, a path or nothing
    return address if isinstance(address, str) else ":".join(map(str, address))


def _stacks(pid: int, path: Path, begin: int) -> str:
    """Return what faulthandler has written since the process was asked, once that is complete."""
    deadline = time.monotonic() + STACKS_WITHIN_SECONDS
    size = begin
    while time.monotonic() < deadline:
        time.sleep(_SETTLED_SECONDS)
        before, size = size, _size(path)
        if size == before > begin:
            break
    if size == begin:
        state = _read(Path(f"/proc/{pid}/status")).partition("State:")[2].partition("\n")[0].strip()
        return f"no stacks within {STACKS_WITHIN_SECONDS:g} s; its state is {state or 'ended'}\n"
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(STACKS_BYTES).decode(errors="replace")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
