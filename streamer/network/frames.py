"""WebSocket frames as a client sees them (RFC 6455): bytes in, messages out, no I/O.

Text is not checked to be UTF-8. The decoder behind refuses what is not, frame by frame, and the
check in between would cost each good message a second pass over its bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

from streamer.errors import StreamerError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FIN, _RESERVED_BITS, _MASKED = 0x80, 0x70, 0x80
_CONTROL_BYTES_MAX = 125  # RFC 6455, 5.5

_TWO_SHORTS = Struct(">HH").unpack_from
_SHORT = Struct(">H")
_LONG = Struct(">Q")
_FINAL_TEXT = 0x8100  # the first two bytes of a whole, unmasked text message of no length

PROTOCOL_ERROR, NO_STATUS, INVALID_DATA, TOO_BIG = 1002, 1005, 1007, 1009
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})  # IANA's, sent by servers


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping, to be answered with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping, or an unsolicited one."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The server's last frame; `code` is 1005 when it gave none."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A whole binary message."""

    payload: bytes


Item: TypeAlias = bytes | Ping | Pong | Close | Binary
"""What a feed yields; the payload of a text message is plain `bytes`, the common case."""


class ProtocolError(StreamerError):
    """The server broke RFC 6455.

    `code` is what our Close frame should carry (1002, 1007 or 1009); `completed` holds what the
    same feed had completed before the bad bytes, in order, so that nothing good is lost.
    """

    def __init__(self, code: int, message: str, completed: Sequence[Item] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.completed = completed


class FrameParser:
    """Cuts a server's bytes into messages, however the network has chunked them.

    `max_message_bytes` bounds a message, and with it the memory held for one.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._pending: list[bytes] = []  # an incomplete frame, as it came
        self._pending_bytes = 0
        self._wanted_bytes = 0  # below this, looking at the pending bytes again is no use
        self._fragments: list[bytes] | None = None  # of the message that is open
        self._fragments_bytes = 0
        self._fragments_opcode = TEXT
        self._finished = False
        self.only_text = True  # whether the last feed held whole text messages and nothing else

    def feed(self, data: bytes) -> list[Item]:
        """Return what `data` completes, in order; after a Close, everything is ignored.

        Raises ProtocolError, which carries what was completed before; feed nothing afterwards.
        """
        items: list[Item] = []
        self.only_text = True
        if self._finished:
            return items
        if self._pending:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes < self._wanted_bytes:
                return items  # a big message in small chunks is joined once, not at each chunk
            data = b"".join(self._pending)
            self._pending.clear()
        position = 0
        end = len(data)
        try:
            while True:
                if self._fragments is None:
                    position = self._take_whole_texts(data, position, items)
                following = self._take_frame(data, position, items)
                if following < 0 or self._finished:
                    break
                position = following
        except ProtocolError as error:
            self._finished = True
            error.completed = items
            raise
        if position < end and not self._finished:
            self._pending.append(data[position:] if position else data)
            self._pending_bytes = end - position
            self._wanted_bytes = -following
        return items

    def _take_whole_texts(self, data: bytes, position: int, items: list[Item]) -> int:
        """Take the run of unfragmented text messages at `position`; return where it ends.

        The feed is hardly anything else, and this loop is most of what a message costs here.
        """
        append = items.append
        limit = self._max_message_bytes
        end = len(data)
        last_header = end - 4
        while position <= last_header:
            head, length = _TWO_SHORTS(data, position)
            if head == _FINAL_TEXT + 126:
                start = position + 4
            else:
                length = head - _FINAL_TEXT
                if not 0 <= length < 126:
                    break
                start = position + 2
            stop = start + length
            if stop > end or length > limit:
                break
            append(data[start:stop])
            position = stop
        return position

    def _take_frame(self, data: bytes, position: int, items: list[Item]) -> int:
        """Take one frame of any kind; return where it ends.

        For an incomplete frame, return minus the number of bytes that are needed at least.
        """
        available = len(data) - position
        if available < 2:
            return -2
        first, second = data[position], data[position + 1]
        opcode = first & 0x0F
        final = first >= _FIN
        if first & _RESERVED_BITS:
            raise ProtocolError(PROTOCOL_ERROR, "a reserved bit is set; no extension was agreed")
        if second & _MASKED:
            raise ProtocolError(PROTOCOL_ERROR, "a frame is masked; a server must not mask")
        length, header_bytes = second, 2
        if second == 126:
            header_bytes = 4
            if available < header_bytes:
                self._check_header(opcode, final, 0)
                return -header_bytes
            (length,) = _SHORT.unpack_from(data, position + 2)
        elif second == 127:
            header_bytes = 10
            if available < header_bytes:
                self._check_header(opcode, final, 0)
                return -header_bytes
            (length,) = _LONG.unpack_from(data, position + 2)
        self._check_header(opcode, final, length)
        start = position + header_bytes
        stop = start + length
        if stop > len(data):
            return position - stop
        payload = data[start:stop]
        if opcode >= CLOSE:
            self.only_text = False
            items.append(self._control(opcode, payload))
        else:
            self._add(opcode, final, payload, items)
        return stop

    def _check_header(self, opcode: int, final: bool, length: int) -> None:
        """Refuse a frame by its header alone, before its payload is waited for."""
        if opcode >= CLOSE:
            if opcode > PONG:
                raise ProtocolError(PROTOCOL_ERROR, f"opcode {opcode:#x} is reserved")
            if not final:
                raise ProtocolError(PROTOCOL_ERROR, "a control frame is fragmented")
            if length > _CONTROL_BYTES_MAX:
                raise ProtocolError(PROTOCOL_ERROR, "a control frame has more than 125 bytes")
            return
        if opcode > BINARY:
            raise ProtocolError(PROTOCOL_ERROR, f"opcode {opcode:#x} is reserved")
        if (opcode == CONTINUATION) != (self._fragments is not None):
            raise ProtocolError(
                PROTOCOL_ERROR,
                "a continuation frame continues nothing"
                if opcode == CONTINUATION
                else "a message begins before the fragmented one has ended",
            )
        message_bytes = self._fragments_bytes + length
        if message_bytes > self._max_message_bytes:
            raise ProtocolError(
                TOO_BIG,
                f"a message of {message_bytes} bytes or more is above the limit of "
                f"{self._max_message_bytes} (connection.max_message_bytes)",
            )

    def _add(self, opcode: int, final: bool, payload: bytes, items: list[Item]) -> None:
        """Add a data frame to the open message, or open one; hand it over when it is whole."""
        if self._fragments is None:
            self._fragments = []
            self._fragments_opcode = opcode
        if payload:  # empty fragments cost a server nothing, and must cost us nothing
            self._fragments.append(payload)
            self._fragments_bytes += len(payload)
        if final:
            message = b"".join(self._fragments)
            self._fragments = None
            self._fragments_bytes = 0
            if self._fragments_opcode == TEXT:
                items.append(message)
            else:
                self.only_text = False
                items.append(Binary(message))

    def _control(self, opcode: int, payload: bytes) -> Ping | Pong | Close:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        close = _parse_close(payload)
        self._finished = True
        return close


def _parse_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise ProtocolError(PROTOCOL_ERROR, "a close frame has half a code")
    (code,) = _SHORT.unpack_from(payload)
    try:
        close = Close(code, payload[2:].decode())
    except UnicodeDecodeError as error:
        raise ProtocolError(INVALID_DATA, "the reason of a close is not UTF-8") from error
    if code not in _CLOSE_CODES and not 3000 <= code < 5000:
        raise ProtocolError(PROTOCOL_ERROR, f"close code {code} must not be sent")
    return close


def encode(opcode: int, payload: bytes) -> bytes:
    """Return one whole frame as a client sends it: final, masked with fresh random bytes."""
    length = len(payload)
    if length < 126:
        header = bytes((_FIN | opcode, _MASKED | length))
    elif length < 1 << 16:
        header = bytes((_FIN | opcode, _MASKED | 126)) + _SHORT.pack(length)
    else:
        header = bytes((_FIN | opcode, _MASKED | 127)) + _LONG.pack(length)
    key = os.urandom(4)
    repeated = (key * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return header + key + masked.to_bytes(length, "little")


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame; 1005 stands for a close without a code, as in Close."""
    if code == NO_STATUS:
        return encode(CLOSE, b"")
    text = reason.encode()[: _CONTROL_BYTES_MAX - 2].decode(errors="ignore").encode()
    return encode(CLOSE, _SHORT.pack(code) + text)
