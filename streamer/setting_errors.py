"""What would have been right in the place of a setting that is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streamer.units import parse_duration, parse_size

_BY_TYPE: Final = {
    "bool": "expected true or false",
    "int": "expected a whole number",
    "float": "expected a number",
    "finite": "expected a finite number",
    "string": "expected a text",
    "is": "expected a text",  # is_instance_of: a secret, which text is wrapped as
    "path": "expected a path",
    "tuple": 'expected a list, such as ["a", "b"]',
    "dict": "expected a table",
    "dataclass": "expected a table",
    "missing": "expected a value",
}
"""By the first word of pydantic's name of an error, such as `bool` of `bool_parsing`."""
_BOUNDS: Final = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def expected(error: Mapping[str, Any]) -> str:
    """Return the sentence for one of pydantic's errors (its `type`, `ctx`, `input` and `msg`).

    What is raised by a parser of ours says it already.
    """
    context = error.get("ctx", {})
    for key, words in _BOUNDS.items():
        if key in context:
            return f"expected {words} {context[key]:g}{_unit(error['input'])}"
    kind = error["type"]
    if kind == "literal_error":
        return f"expected {context['expected']}"
    if kind in ("too_short", "string_too_short"):
        return "expected at least one"
    if sentence := _BY_TYPE.get(kind.partition("_")[0]):
        return sentence
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"


def _unit(given: object) -> str:
    """Return the unit that a bound is in, told by what it was compared with."""
    if not isinstance(given, str) or not given.strip()[-1:].isalpha():
        return ""
    for parse, unit in ((parse_duration, " s"), (parse_size, " bytes")):
        try:
            parse(given)
        except ValueError:
            continue
        return unit
    return ""
