r"""JSON that every reader takes, a browser's `JSON.parse` among them (RFC 8259). Pure.

Python's own encoder writes `NaN` and `Infinity`, which are no JSON, and halves of surrogate pairs,
which strict readers refuse. A name of a file that is no UTF-8 has such halves (PEP 383), and so
has a profile of somebody who put `"\ud800"` there. One such value must not cost a whole answer.
"""

from __future__ import annotations

import msgspec


def encode(value: object) -> bytes:
    r"""Return a value as JSON in UTF-8, on one line.

    What is no finite number becomes null, half a surrogate pair what Python's source writes for it
    (`\ud800`), and what JSON has no type for, such as a path, its text.
    """
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:  # seldom, so that nobody else pays for a look at every text
        return msgspec.json.encode(_in_utf8(msgspec.to_builtins(value, enc_hook=str)))


def encode_readable(value: object) -> bytes:
    """Return the same on several lines, for people."""
    return msgspec.json.format(encode(value), indent=2)


def _in_utf8(value: object) -> object:
    """Return plain values without halves of surrogate pairs."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_in_utf8(key): _in_utf8(one) for key, one in value.items()}
        case list() | tuple():
            return [_in_utf8(one) for one in value]
    return value
