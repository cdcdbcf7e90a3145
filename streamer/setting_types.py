"""What each key of the settings takes, told by the type of its field. Pure.

Text is taken as it stands, a secret is wrapped before anything else sees it, and only the rest is
read as TOML: so that neither a password of digits nor a topic named `1.10` is taken for a number.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from streamer.client_keys import HARMLESS, dotted_keys
from streamer.secret import Secret

DEPTH_MAX = 32
"""Tables and lists in each other; the settings need ten."""
_INTEGER_MAX = 1 << 63
_IN_QUOTES = "expected a text in quotes, which is taken as it stands"


@dataclass(frozen=True, slots=True)
class KeyType:
    """What a key takes: a text, texts with commas or as a list, a table, or any other value."""

    takes: Literal["text", "texts", "table", "value"]
    secret: type[Secret] | None = None


_VALUE = KeyType("value")


def key_type(model: type[BaseModel], path: Sequence[str]) -> KeyType:
    """Return what the key at `path` takes: section, key, and a key in the table that it is."""
    section = model.model_fields.get(path[0])
    fields = getattr(section and section.annotation, "__dataclass_fields__", {})
    if len(path) < 2 or section is None or path[1] not in fields:
        return _VALUE  # no such key: an error in any case
    annotation: Any = section.annotation
    parts = list(_parts(_hints(annotation)[path[1]]))
    if any(get_origin(part) is dict for part in parts):
        if len(path) == 2:
            return KeyType("table")
        items = [item for part in parts for item in _parts(get_args(part)[1])]
        is_secret = Secret in items and path[2] not in HARMLESS
        return KeyType("text", Secret if is_secret else None)
    if any(get_origin(part) is tuple for part in parts):
        return KeyType("texts")
    secrets = [part for part in parts if isinstance(part, type) and issubclass(part, Secret)]
    if secrets:
        return KeyType("text", secrets[0])
    return KeyType("text") if any(map(_is_text, parts)) else _VALUE


@cache
def _hints(section: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    return get_type_hints(section, include_extras=True)


def _parts(hint: Any) -> Iterator[Any]:  # noqa: ANN401 - any type
    """Yield the types of a union, without what annotates them."""
    if get_origin(hint) is Annotated:
        yield from _parts(get_args(hint)[0])
    elif get_origin(hint) in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def _is_text(part: Any) -> bool:  # noqa: ANN401 - any type
    if get_origin(part) is Literal:
        return all(isinstance(value, str) for value in get_args(part))
    return part in (str, Path)


def seal(model: type[BaseModel], values: dict[str, Any]) -> list[str]:
    """Wrap every secret among the values of one source, in place; return what is wrong.

    Client settings come out with dotted keys, so that sources can be merged.
    """
    problems: list[str] = []
    for section, table in values.items():
        if not isinstance(table, dict):
            continue
        for key in list(table):
            kind = key_type(model, (section, key))
            if kind.takes == "table" and not isinstance(table[key], dict):
                del table[key]  # it may hold a secret, whatever it is
                problems.append(f'{section}.{key}: expected a table, such as {{"key" = "value"}}')
            elif kind.takes == "table":
                if key_type(model, (section, key, "")).secret:
                    table[key] = dotted_keys(table[key])
                for name in list(table[key]):
                    entry = key_type(model, (section, key, name))
                    problems += _wrap(table[key], name, entry, f"{section}.{key}.{name}")
            else:
                problems += _wrap(table, key, kind, f"{section}.{key}")
    return problems


def _wrap(table: dict[str, Any], key: str, kind: KeyType, name: str) -> Iterator[str]:
    if kind.secret is None:
        return
    if isinstance(table[key], str):
        table[key] = kind.secret(table[key])
        return
    del table[key]
    yield f"{name}: {_IN_QUOTES}"


def hidden_keys(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield where the sealed values of a source hold something secret."""
    for key, value in values.items():
        if isinstance(value, Secret) and value.hides:
            yield (*path, key)
        elif isinstance(value, dict):
            yield from hidden_keys(value, (*path, key))


def unsound(values: dict[str, Any]) -> str | None:
    """Return what no setting can be, whatever its key, in words; None when there is nothing.

    Numbers beyond 64 bits or not finite, text that the system cannot take, too deep a nesting.
    """
    waiting: list[tuple[str, Any, int]] = [("", values, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        if depth > DEPTH_MAX:
            return f"{key.partition('.')[0]}: tables are nested more than {DEPTH_MAX} deep"
        if isinstance(value, dict):
            waiting += [
                (f"{key}.{name}".lstrip("."), item, depth + 1) for name, item in value.items()
            ]
            waiting += [(key, name, depth + 1) for name in value]
        elif isinstance(value, list):
            waiting += [(key, item, depth + 1) for item in value]
        elif isinstance(value, float) and not math.isfinite(value):
            return f"{key}: expected a finite number"
        elif isinstance(value, int) and not -_INTEGER_MAX <= value < _INTEGER_MAX:
            return f"{key}: expected a number of at most 64 bits"
        elif isinstance(value, str) and not _is_utf8(value):
            return f"{key}: expected text in UTF-8 and without NUL"
    return None


def _is_utf8(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
