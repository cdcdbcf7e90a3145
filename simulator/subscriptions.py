"""Control messages of one connection: text in, text out, without I/O.

Answers and errors are those of web-socket-streams.md. Unknown stream names are accepted and
listed like any other, and never deliver; a SUBSCRIBE with one of `refused` is refused as a whole.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_TEXT_ID = re.compile(r"[0-9A-Za-z_-]{1,36}")  # hyphens too: clients send UUIDs
_MISSING = object()


class Refused(Exception):  # noqa: N818 - an answer of the protocol, not an error of ours
    """A message that gets an error for an answer."""

    def __init__(self, code: int, message: str, request_id: object = _MISSING) -> None:
        super().__init__(message)
        self.answer: dict[str, object] = {"code": code, "msg": message}
        if request_id is not _MISSING:
            self.answer["id"] = request_id


@dataclass(slots=True)
class Subscriptions:
    """What one connection listens to; `names` keeps the order of subscription."""

    limit: int = 1024
    combined: bool = False
    names: dict[str, None] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()

    def answer(self, text: str) -> str:
        """Carry out a control message and return what the exchange answers."""
        try:
            request_id, result = self._carry_out(text)
        except Refused as refused:
            return json.dumps(refused.answer, ensure_ascii=False, separators=(",", ":"))
        answer = {"result": result, "id": request_id}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))

    def subscribe(self, names: list[str]) -> None:
        """Add streams; raises Refused when there would be too many, or one is refused."""
        if not self.refused.isdisjoint(names):
            # The exchange does not document which names it refuses, and how: a guess as well.
            raise Refused(2, "Invalid request: invalid stream")
        if len(self.names.keys() | set(names)) > self.limit:
            # The exchange documents the limit, not its answer: the wording is a guess.
            raise Refused(2, f"Invalid request: more than {self.limit} streams")
        self.names.update(dict.fromkeys(names))

    def _carry_out(self, text: str) -> tuple[object, object]:
        request = _read(text)
        request_id = request.get("id")
        parameters = request.get("params", [])
        match request["method"]:
            case "SUBSCRIBE":
                self.subscribe(_stream_names(parameters))
            case "UNSUBSCRIBE":
                for name in _stream_names(parameters):
                    self.names.pop(name, None)
            case "LIST_SUBSCRIPTIONS":
                if parameters:
                    raise Refused(2, "Invalid request: too many parameters")
                return request_id, list(self.names)
            case "SET_PROPERTY":
                value = _property(parameters, 2, request_id)[1]
                if not isinstance(value, bool):
                    raise Refused(1, "Invalid value type: expected Boolean")
                self.combined = value
            case "GET_PROPERTY":
                _property(parameters, 1, request_id)
                return request_id, self.combined
        return request_id, None


def _read(text: str) -> dict[str, object]:
    try:
        request = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise Refused(3, f"Invalid JSON: expected value at {where}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets without end
        raise Refused(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(request, dict) or "method" not in request:
        raise Refused(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    if not _is_id(request.get("id")):
        raise Refused(2, "Invalid request: request ID must be an unsigned integer")
    if request["method"] not in METHODS:
        expected = ", ".join(f"`{method}`" for method in METHODS)
        raise Refused(
            2,
            f"Invalid request: unknown variant `{request['method']}`, expected one of {expected} "
            f"at line 1 column {len(text)}",
        )
    return request


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or (isinstance(value, str) and bool(_TEXT_ID.fullmatch(value)))


def _stream_names(parameters: object) -> list[str]:
    if not isinstance(parameters, list) or not all(isinstance(name, str) for name in parameters):
        raise Refused(2, "Invalid request: params must be an array of stream names")
    return parameters


def _property(parameters: object, count: int, request_id: object) -> list[object]:
    if not isinstance(parameters, list) or not parameters or not isinstance(parameters[0], str):
        raise Refused(2, "Invalid request: property name must be a string")
    if parameters[0] != "combined":
        raise Refused(0, "Unknown property", request_id)
    if len(parameters) > count:
        raise Refused(2, "Invalid request: too many parameters")
    return [*parameters, None]
