"""Records as a table for people. Pure.

Text of others is written so that it steers no terminal (`streamer.printable`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from streamer.data.catalogue import KINDS
from streamer.head.last_records import LastRecords, Record
from streamer.printable import printable

_ALWAYS = ("record_id", "symbol")  # the one is long and says what is shown, the other is a column
SHOWN = {kind.name: kind.fields.shown for kind in KINDS} | {
    "gap": ("stream", "first_id", "last_id", "from_time", "to_time", "reason", "declared_time"),
}
"""What is shown of a kind, for a line of a terminal; `--json` shows everything."""
_SHOWN_OF_OTHERS = 7  # fields
_TEXT_BYTES = 60  # of a cell: a symbol may be any text


def tables(kinds: Sequence[LastRecords]) -> list[str]:
    """Return a table for each kind of which there is something."""
    lines: list[str] = []
    for kind in kinds:
        if kind.found:
            lines += ([""] if lines else []) + _table(kind)
    return lines


def _table(kind: LastRecords) -> list[str]:
    places = sorted(kind.found)
    fields = _fields(kind.kind, kind.found[places[0]][0])
    rows = [("kind" if "stream" in fields else "stream", "symbol", *fields)]
    aligned_right = [False, False, *(False for _ in fields)]
    for place in places:
        for record in reversed(kind.found[place]):  # the latest last, as in a log
            rows.append(
                (*(printable(part, _TEXT_BYTES) for part in place), *_cells(record, fields))
            )
            for column, name in enumerate(fields, start=2):
                aligned_right[column] |= _is_number(record.get(name))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [_line(row, widths, aligned_right) for row in rows]


def _fields(kind: str, record: Record) -> tuple[str, ...]:
    shown = SHOWN.get(kind) or [name for name in record if name not in _ALWAYS][:_SHOWN_OF_OTHERS]
    return tuple(name for name in shown if name in record)


def _cells(record: Record, fields: Sequence[str]) -> list[str]:
    return [cell(record.get(name)) for name in fields]


def _line(row: Sequence[str], widths: Sequence[int], aligned_right: Sequence[bool]) -> str:
    cells = [
        text.rjust(width) if right else text.ljust(width)
        for text, width, right in zip(row, widths, aligned_right, strict=True)
    ]
    return "  ".join(cells).rstrip()


def cell(value: Any) -> str:  # noqa: ANN401 - any decoded value
    """Return a value as it is shown: exact numbers without zeros at their ends, times in UTC."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, list):
        return _levels(value)
    return printable(str(value), _TEXT_BYTES)


def _levels(value: list[Any]) -> str:
    """Return how many changes of a book there are, and the first of them."""
    if not value:
        return "0"
    first = value[0]
    if isinstance(first, dict):
        first = " × ".join(cell(part) for part in first.values())
    return f"{len(value)}: {printable(str(first), _TEXT_BYTES)}{', …' if len(value) > 1 else ''}"


def _is_number(value: Any) -> bool:  # noqa: ANN401 - any decoded value
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def for_machines(kinds: Sequence[LastRecords]) -> list[dict[str, Any]]:
    """Return the same for JSON, every field: numbers as texts that are exact, times in UTC."""
    return [
        {
            "kind": kind.kind,
            "stream": stream,
            "symbol": symbol,
            "records": [_plain(record) for record in reversed(kind.found[stream, symbol])],
        }
        for kind in kinds
        for stream, symbol in sorted(kind.found)
    ]


def _plain(value: Any) -> Any:  # noqa: ANN401 - any decoded value
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.hex() if isinstance(value, bytes) else value
