"""WebSocket frames as a server sends them (RFC 6455 section 5.2): one `bytes` per frame."""

from __future__ import annotations

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL = 0x80


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return one unmasked frame."""
    first = opcode | (_FINAL if final else 0)
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def fragmented(opcode: int, payload: bytes) -> list[bytes]:
    """Return a message in three fragments with an unsolicited pong between: valid, and rare."""
    third = len(payload) // 3 + 1
    return [
        frame(opcode, payload[:third], final=False),
        frame(PONG, b""),
        frame(CONTINUATION, payload[third : 2 * third], final=False),
        frame(CONTINUATION, payload[2 * third :]),
    ]


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame; 1005 means one without a code."""
    return frame(CLOSE, b"" if code == 1005 else code.to_bytes(2, "big") + reason.encode()[:123])
