"""The exchange's control messages: asking for streams and understanding the answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from streamer.checks import UNDECODABLE

_FRAME_BYTES_MAX = 3500  # a SUBSCRIBE above about 4096 bytes was seen to get no answer
_ENVELOPE_BYTES = 64  # method, id and punctuation around the names


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the exchange: `error` is None when it agreed; `request_id` may be missing."""

    request_id: int | str | None
    error: str | None
    result: object = None

    @classmethod
    def parse(cls, payload: bytes) -> Answer | None:
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
        if not isinstance(request_id, (int, str)):
            request_id = None
        error = message.get("error", message)
        if isinstance(error, dict) and "code" in error and "msg" in error:
            return cls(request_id, f"{error['msg']} (code {error['code']})")
        if "result" in message and "id" in message:
            return cls(request_id, None, message["result"])
        return None


class Subscriptions:
    """What was asked for on one connection, and how far it is agreed.

    `refusal` is what the exchange objected to; `missing` are streams that it does not list.
    """

    def __init__(self) -> None:
        self.refusal: str | None = None
        self.missing: tuple[str, ...] = ()
        self._wished: dict[str, None] = {}  # a set that keeps its order
        self._open: set[int | str | None] = set()  # ids of SUBSCRIBEs without an answer
        self._list_id: int | None = None
        self._last_id = 0

    def ask(self, streams: Sequence[str]) -> list[bytes]:
        """Return the SUBSCRIBE messages for streams that were not asked for yet."""
        messages: list[bytes] = []
        chunk: list[str] = []
        chunk_bytes = _ENVELOPE_BYTES
        for stream in dict.fromkeys(streams):
            if stream in self._wished:
                continue
            self._wished[stream] = None
            stream_bytes = len(msgspec.json.encode(stream)) + 1
            if chunk and chunk_bytes + stream_bytes > _FRAME_BYTES_MAX:
                messages.append(self._subscribe(chunk))
                chunk, chunk_bytes = [], _ENVELOPE_BYTES
            chunk.append(stream)
            chunk_bytes += stream_bytes
        if chunk:
            messages.append(self._subscribe(chunk))
        return messages

    def take(self, answer: Answer) -> list[bytes]:
        """Note an answer; return what is to be asked next."""
        if answer.error is not None:
            anonymous = answer.request_id is None  # it can only mean what is open now
            if answer.request_id in self._open or (anonymous and self._open):
                self.refusal = self.refusal or f"the exchange refused: {answer.error}"
            elif answer.request_id == self._list_id or anonymous:
                self._list_id = None  # the check is a courtesy; the subscriptions stand
            return []
        if answer.request_id == self._list_id and self._list_id is not None:
            self._list_id = None
            if isinstance(answer.result, list):
                listed = set(answer.result)
                self.missing = tuple(name for name in self._wished if name not in listed)
            return []
        if answer.request_id in self._open:
            self._open.discard(answer.request_id)
            if not self._open:
                self._list_id = self._next_id()
                return [msgspec.json.encode({"method": "LIST_SUBSCRIPTIONS", "id": self._list_id})]
        return []

    @property
    def acknowledged(self) -> bool:
        """Whether every SUBSCRIBE is agreed to, and there was one."""
        return bool(self._wished) and not self._open and self.refusal is None

    @property
    def complete(self) -> bool:
        """Whether nothing is open any more, the list included."""
        return self.acknowledged and self._list_id is None

    @property
    def unanswered(self) -> int:
        """How many control messages have no answer yet."""
        return len(self._open) + (self._list_id is not None)

    def _subscribe(self, streams: list[str]) -> bytes:
        request_id = self._next_id()
        self._open.add(request_id)
        message = {"method": "SUBSCRIBE", "params": streams, "id": request_id}
        return msgspec.json.encode(message)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id
