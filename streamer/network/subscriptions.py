"""The exchange's control messages: asking for streams and understanding the answers. Pure."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from streamer.data.checks import UNDECODABLE
from streamer.printable import printable

_FRAME_BYTES_MAX = 3500  # a SUBSCRIBE above about 4096 bytes was seen to get no answer
_SHOWN_BYTES_MAX = 300  # of what is theirs, in a line for people
_ENVELOPE_BYTES = 64  # method, id and punctuation around the names
_REFUSALS_IN_A_ROW_MAX = 100
"""Before the exchange has accepted anything: then it is not a name that it objects to. Where one of
ten names is bad, halving 1,000 of them meets a list that it accepts before that."""


@dataclass(frozen=True, slots=True)
class SubscriptionResponse:
    """An answer of the exchange: `error` is None when it agreed; `request_id` may be missing."""

    request_id: int | str | None
    error: str | None
    result: object = None

    @classmethod
    def parse(cls, payload: bytes) -> SubscriptionResponse | None:
        """Return the answer in a text payload, or None when it is something else.

        Known shapes: {"result":…,"id":…}, {"code":…,"msg":…} with or without id, and the same
        code and msg inside "error".
        """
        try:
            message = msgspec.json.decode(payload)
        except UNDECODABLE:
            return None
        if not isinstance(message, dict) or "e" in message or "stream" in message:
            return None
        request_id = message.get("id")
        if type(request_id) not in (int, str):  # `true` would be our 1
            request_id = None
        error = message.get("error", message)
        if isinstance(error, dict) and "code" in error and "msg" in error:
            return cls(request_id, f"{_shown(error['msg'])} (code {_shown(error['code'])})")
        if "result" in message and "id" in message:
            return cls(request_id, None, message["result"])
        return None


def _shown(value: object) -> str:
    """Return what the exchange says, which should be a text or a number, but may be anything."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    return printable(text, _SHOWN_BYTES_MAX)


class Subscriptions:
    """What was asked for on one connection, and how far it is agreed.

    A list of names is refused as a whole: it is halved until the names that are not accepted are
    known, which `take_refused` tells, each with the exchange's words. `refusal` is why it accepted
    none at first: such a connection is of no use. `trouble` is what went wrong with giving streams
    back. `missing` are streams that it does not list though it accepted them.
    """

    def __init__(self) -> None:
        self.refusal: str | None = None
        self.trouble: str | None = None
        self.stuck = False  # the exchange goes on with what was given back
        self.missing: tuple[str, ...] = ()
        self._refused: dict[str, str] = {}
        self._wished: dict[str, None] = {}  # a set that keeps its order
        self._pending: set[str] = set()  # of which frames may come: wished, or not yet given back
        self._open: dict[int | str | None, _Asked] = {}  # without an answer, oldest first
        self._list_id: int | None = None
        self._last_id = 0
        self._agreed = False  # to everything that was asked for at first, or it is refused
        self._accepted = False  # a SUBSCRIBE
        self._refusals = 0  # of any, before the first was accepted

    def ask(self, streams: Sequence[str]) -> list[bytes]:
        """Return the SUBSCRIBE messages for streams that were not asked for yet."""
        fresh = [name for name in dict.fromkeys(streams) if name not in self._wished]
        for name in fresh:
            self._refused.pop(name, None)
        self._wished.update(dict.fromkeys(fresh))
        self._pending.update(fresh)
        return self._messages("SUBSCRIBE", fresh)

    def give_back(self, streams: Sequence[str]) -> list[bytes]:
        """Return the UNSUBSCRIBE messages for those of the streams that were asked for."""
        known = [name for name in dict.fromkeys(streams) if name in self._wished]
        for name in known:
            del self._wished[name]
        for name in streams:
            self._refused.pop(name, None)
        return self._messages("UNSUBSCRIBE", known)

    def holds(self, stream: str) -> bool:
        """Return whether frames of a stream may come, as far as the exchange has agreed."""
        return stream in self._pending

    def take_refused(self) -> dict[str, str]:
        """Return the names that were refused since the last call, each with why."""
        refused, self._refused = self._refused, {}
        return refused

    def take(self, answer: SubscriptionResponse) -> list[bytes]:
        """Note an answer; return what is to be asked next."""
        if answer.error is not None:
            return self._take_error(answer)
        if answer.request_id == self._list_id and self._list_id is not None:
            self._list_id = None
            if isinstance(answer.result, list):
                listed = {name for name in answer.result if isinstance(name, str)}
                self.missing = tuple(name for name in self._wished if name not in listed)
            return []
        asked = self._open.pop(answer.request_id, None)
        if asked is None:
            return []
        if asked.method == "UNSUBSCRIBE":
            self._pending.difference_update(
                name for name in asked.names if name not in self._wished
            )
        else:
            self._accepted = True
        return self._look()

    @property
    def agreed(self) -> bool:
        """Whether the exchange has once agreed to everything."""
        return self._agreed

    @property
    def acknowledged(self) -> bool:
        """Whether everything asked for is agreed to, and there was something."""
        return bool(self._wished) and not self._open and self.refusal is None

    @property
    def complete(self) -> bool:
        """Whether nothing is open any more, the list included."""
        return self.acknowledged and self._list_id is None

    @property
    def unanswered(self) -> int:
        """How many control messages have no answer yet."""
        return len(self._open) + (self._list_id is not None)

    def _look(self) -> list[bytes]:
        """Ask what we are subscribed to, once nothing else is open."""
        if self._open or self.refusal is not None:
            return []
        if self._refused and not self._accepted:
            self.refusal = next(iter(self._refused.values()))
            return []
        self._agreed = True
        self._list_id = self._next_id()
        return [msgspec.json.encode({"method": "LIST_SUBSCRIPTIONS", "id": self._list_id})]

    def _take_error(self, answer: SubscriptionResponse) -> list[bytes]:
        # Without an id it can only mean what is open now; answers come in order.
        anonymous = answer.request_id is None and bool(self._open)
        request_id = next(iter(self._open)) if anonymous else answer.request_id
        asked = self._open.get(request_id)
        if asked is None:
            if request_id == self._list_id or answer.request_id is None:
                self._list_id = None  # the check is a courtesy; the subscriptions stand
            return []
        text = f"the exchange refused: {answer.error}"
        del self._open[request_id]
        if asked.method == "SUBSCRIBE":
            return self._isolate(asked.names, text)
        self.trouble = f"UNSUBSCRIBE of {', '.join(asked.names)}: {text}"
        self.stuck = True
        return self._look()

    def _isolate(self, names: Sequence[str], text: str) -> list[bytes]:
        """Ask for the halves of a list that was refused; a single name is not asked for again."""
        if not self._accepted:
            self._refusals += 1
            if self._refusals > _REFUSALS_IN_A_ROW_MAX:
                self.refusal = text
                return []
        wished = [name for name in names if name in self._wished]  # some were given back meanwhile
        if len(names) > 1 and wished:
            half = len(wished) // 2
            halves = (wished[:half], wished[half:])
            return [self._message("SUBSCRIBE", part) for part in halves if part]
        self._pending.difference_update(names)
        for name in wished:
            del self._wished[name]
            self._refused[name] = text
        return self._look()

    def _messages(self, method: str, names: Sequence[str]) -> list[bytes]:
        messages: list[bytes] = []
        chunk: list[str] = []
        chunk_bytes = _ENVELOPE_BYTES
        for name in names:
            name_bytes = len(msgspec.json.encode(name)) + 1
            if chunk and chunk_bytes + name_bytes > _FRAME_BYTES_MAX:
                messages.append(self._message(method, chunk))
                chunk, chunk_bytes = [], _ENVELOPE_BYTES
            chunk.append(name)
            chunk_bytes += name_bytes
        if chunk:
            messages.append(self._message(method, chunk))
        return messages

    def _message(self, method: str, names: list[str]) -> bytes:
        request_id = self._next_id()
        self._open[request_id] = _Asked(method, tuple(names))
        self._list_id = None  # a list that is under way is of before
        return msgspec.json.encode({"method": method, "params": names, "id": request_id})

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


@dataclass(frozen=True, slots=True)
class _Asked:
    """A control message without an answer."""

    method: str
    names: tuple[str, ...]
