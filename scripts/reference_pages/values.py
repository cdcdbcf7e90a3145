"""Values and types of settings as a person writes and reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen

from streamer.units import ByteCount, Seconds

_DURATIONS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_TYPES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
}
_BOUNDS = {Ge: "≥", Gt: ">", Le: "≤"}


def type_text(annotation: object) -> str:
    """Return what a field takes: its kind, or the words it can be, and its bounds."""
    base, marks = _unwrapped(annotation)
    if is_duration(annotation):
        kind = "duration"
    elif is_size(annotation):
        kind = "size"
    elif get_origin(base) is Literal:
        kind = ", ".join(f"`{word}`" for word in get_args(base))
    elif get_origin(base) is tuple:
        kind = "list"
    elif get_origin(base) is dict:
        kind = "table"
    else:
        kind = _TYPES.get(base, "text") if isinstance(base, type) else "text"
    bounds = [
        f"{_BOUNDS[type(mark)]} {_bound(mark, annotation)}"
        for mark in marks
        if type(mark) in _BOUNDS
    ]
    bounds += ["at least one"] if any(isinstance(mark, MinLen) for mark in marks) else []
    return ", ".join([kind, *bounds])


def value_text(value: object, annotation: object) -> str:
    """Return a default as it could stand in the file; what is not set is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (int, float)) and is_duration(annotation):
        return f'`"{duration_text(value)}"`'
    if isinstance(value, int) and is_size(annotation):
        return f'`"{size_text(value)}"`'
    if isinstance(value, (int, float)):
        return f"`{value}`"
    if isinstance(value, (str, Path)):
        return f'`"{value}"`'
    if isinstance(value, dict):
        return "<br>".join(f'`{key} = "{item}"`' for key, item in value.items()) or "empty"
    if isinstance(value, (tuple, list)):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    raise TypeError(f"a default of type {type(value).__name__} has no text yet")


def duration_text(seconds: float) -> str:
    """Return seconds in the largest unit that divides them: 5400 is `90m`."""
    for unit, name in _DURATIONS:
        if seconds and seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def size_text(size: int) -> str:
    """Return bytes in the largest binary unit that divides them."""
    for unit, name in _SIZES:
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size}B"


def is_duration(annotation: object) -> bool:
    """Return whether a field is a duration: seconds once it is parsed."""
    return _has(annotation, Seconds)


def is_size(annotation: object) -> bool:
    """Return whether a field is a size: bytes once it is parsed."""
    return _has(annotation, ByteCount)


def _has(annotation: object, kind: object) -> bool:
    (mark,) = get_args(kind)[1:]
    return mark in _unwrapped(annotation)[1]


def _unwrapped(annotation: Any) -> tuple[Any, list[object]]:  # noqa: ANN401 - any annotation
    """Return the plain type below `Annotated` and `| None`, and all marks on the way."""
    marks: list[object] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            marks = [*more, *marks]
        elif type(None) in get_args(annotation):
            (annotation,) = (item for item in get_args(annotation) if item is not type(None))
        else:
            return annotation, marks


def _bound(mark: Any, annotation: object) -> str:  # noqa: ANN401 - one of _BOUNDS
    value = getattr(mark, type(mark).__name__.lower())
    if is_duration(annotation) and value:
        return duration_text(value)
    return size_text(value) if is_size(annotation) and value else f"{value}"
