# cython: language_level=3
"""Compiled twins of two pure functions of the streamer; its Python is what they are held against.

`plain_decimal` is `streamer.avro.binary.plain_decimal`; a `RecordEncoder` writes the same bytes as
the Python encoder of its kind (`streamer.data.kinds`). Nothing here knows the exchange.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

cdef extern from *:
    """
    typedef unsigned __int128 uint128;
    """
    ctypedef unsigned long long uint128  # 128 bits in C: Cython wants to know that it is a number

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object)
    const unsigned char* PyUnicode_1BYTE_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)

INTERFACE = 1
"""Another number is another way of calling; the streamer takes only the one it knows."""

cdef enum:
    SCALE = 18
    INTEGER_DIGITS = 20
    DIGITS = 38  # below 2¹²⁷, so that a sign fits
    FIELDS_MAX = 16
    FIELD_BYTES_MAX = 17  # a decimal of 16 bytes with its length; a long has 10 at most

cdef enum:
    NO_NUMBER = -1
    TOO_LONG = -2

cdef enum:
    LONG
    RECEIVED
    DECIMAL
    BOOLEAN
    ENUM

_KINDS = {"long": LONG, "received": RECEIVED, "decimal": DECIMAL, "boolean": BOOLEAN, "enum": ENUM}

cdef uint128[SCALE + 1] _powers  # of ten, by the digits behind the point
cdef int _power
_powers[SCALE] = 1
for _power in range(SCALE - 1, -1, -1):
    _powers[_power] = _powers[_power + 1] * 10


cdef int _put_long(unsigned char* out, long long value) noexcept:
    """Write an Avro long; return how many bytes."""
    cdef unsigned long long rest = <unsigned long long>value << 1
    cdef int count = 0
    if value < 0:
        rest = ~rest
    while rest > 0x7F:
        out[count] = <unsigned char>(rest & 0x7F | 0x80)
        rest >>= 7
        count += 1
    out[count] = <unsigned char>rest
    return count + 1


cdef int _scale(const unsigned char* text, Py_ssize_t length, uint128* value) noexcept:
    """Read a plain decimal number times 10¹⁸; return 0, NO_NUMBER or TOO_LONG."""
    cdef Py_ssize_t position, whole = 0, fraction = 0
    cdef bint has_point = False
    cdef unsigned char byte
    value[0] = 0
    for position in range(length):
        byte = text[position]
        if byte == c".":
            if has_point:
                return NO_NUMBER
            has_point = True
            continue
        if byte < c"0" or byte > c"9":
            return NO_NUMBER
        if has_point:
            fraction += 1
        else:
            whole += 1
        if whole + fraction <= DIGITS:  # more is too long on either side of the point
            value[0] = value[0] * 10 + (byte - c"0")
    if not whole or (has_point and not fraction):
        return NO_NUMBER
    if whole > INTEGER_DIGITS or fraction > SCALE:
        return TOO_LONG
    value[0] *= _powers[fraction]
    return 0


cdef int _put_decimal(unsigned char* out, object text) except -1:
    """Write an Avro decimal; return how many bytes. Raises ValueError, TypeError."""
    cdef uint128 value = 0, rest
    cdef int size = 1, position, found
    if not isinstance(text, str):
        raise TypeError(f"expected a text, not {text!r}")
    found = NO_NUMBER
    if PyUnicode_IS_ASCII(text):
        found = _scale(PyUnicode_1BYTE_DATA(text), PyUnicode_GET_LENGTH(text), &value)
    if found == NO_NUMBER:
        raise ValueError(f"expected a plain decimal number, not {text[:40]!r}")
    if found == TOO_LONG:
        raise ValueError(f"at most 20 digits before and 18 after the point, not {text[:60]!r}")
    rest = value >> 7  # one bit more than needed: the sign of two's complement
    while rest:
        rest >>= 8
        size += 1
    out[0] = <unsigned char>(size << 1)
    for position in range(size, 0, -1):
        out[position] = <unsigned char>(value & 0xFF)
        value >>= 8
    return size + 1


def plain_decimal(text):
    """Return Avro bytes that hold a plain decimal text times 10¹⁸. Raises ValueError."""
    cdef unsigned char[FIELD_BYTES_MAX] out
    cdef int size = _put_decimal(out, text)
    return PyBytes_FromStringAndSize(<char*>out, size)


cdef class RecordEncoder:
    """Encodes the events of one stream of one symbol; called as the Python encoders are.

    `prefix`, `id_text` and `symbol` are those of a RecordHead, `fields` what follows the symbol
    (`streamer.data.compiled.Field`): how each is written, the event's attribute, and of an enum the
    byte of each value. A `received` field is the time of arrival. `suffix` ends each record.
    """

    cdef bytes prefix, id_text, symbol, suffix
    cdef int[FIELDS_MAX] kinds
    cdef list names, codes
    cdef int count

    def __init__(self, bytes prefix not None, bytes id_text not None, bytes symbol not None,
                 fields, bytes suffix not None):
        if len(fields) > FIELDS_MAX:
            raise ValueError(f"at most {FIELDS_MAX} fields, not {len(fields)}")
        self.prefix, self.id_text, self.symbol, self.suffix = prefix, id_text, symbol, suffix
        self.names, self.codes, self.count = [], [], len(fields)
        for position, (kind, name, codes) in enumerate(fields):
            for code in codes.values():
                if not isinstance(code, bytes) or len(code) != 1:
                    raise ValueError(f"expected one byte, not {code!r}")
            self.kinds[position] = _KINDS[kind]
            self.names.append(name)
            self.codes.append(dict(codes))

    def __call__(self, event, long long received_us):
        """Return the record's bytes. Raises ValueError, TypeError, OverflowError, LookupError."""
        cdef unsigned char[FIELDS_MAX * FIELD_BYTES_MAX] body
        cdef unsigned char[10] length
        cdef bytes digits = b"%d" % event.id
        cdef bytes code, record
        cdef int size = 0, position, kind, length_size
        for position in range(self.count):
            kind = self.kinds[position]
            if kind == RECEIVED:
                size += _put_long(body + size, received_us)
                continue
            value = getattr(event, self.names[position])
            if kind == LONG:
                size += _put_long(body + size, value)
            elif kind == DECIMAL:
                size += _put_decimal(body + size, value)
            elif kind == BOOLEAN:
                body[size] = 1 if value else 0
                size += 1
            else:
                code = self.codes[position][value]
                body[size] = <unsigned char>PyBytes_AS_STRING(code)[0]
                size += 1
        length_size = _put_long(length, PyBytes_GET_SIZE(self.id_text) + PyBytes_GET_SIZE(digits))
        record = PyBytes_FromStringAndSize(
            NULL,
            PyBytes_GET_SIZE(self.prefix) + length_size + PyBytes_GET_SIZE(self.id_text)
            + PyBytes_GET_SIZE(digits) + PyBytes_GET_SIZE(self.symbol) + size
            + PyBytes_GET_SIZE(self.suffix),
        )
        cdef char* out = PyBytes_AS_STRING(record)
        out = _append(out, self.prefix)
        memcpy(out, length, length_size)
        out = _append(out + length_size, self.id_text)
        out = _append(out, digits)
        out = _append(out, self.symbol)
        memcpy(out, body, size)
        _append(out + size, self.suffix)
        return record


cdef char* _append(char* out, bytes piece) noexcept:
    memcpy(out, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    return out + PyBytes_GET_SIZE(piece)
