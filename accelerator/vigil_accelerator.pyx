# cython: language_level=3
"""Compiled twins of two pure functions of the streamer; its Python is what they are held against.

Each writes what it knows how to write, and hands everything else to its twin in Python: what is
wrong with a value is found, and said, in one place. Nothing here knows the exchange.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from cpython.unicode cimport PyUnicode_CheckExact
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
    FIELDS_MAX = 16
    FIELD_BYTES_MAX = 17  # a decimal of 16 bytes with its length; a long has 10 at most
    ID_DIGITS_MAX = 19  # of 2⁶³ - 1

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


cdef int _put_digits(unsigned char* out, unsigned long long value) noexcept:
    """Write a number as text; return how many bytes."""
    cdef unsigned char[ID_DIGITS_MAX + 1] reversed_digits
    cdef int count = 0, position
    while True:
        reversed_digits[count] = <unsigned char>(c"0" + value % 10)
        value //= 10
        count += 1
        if not value:
            break
    for position in range(count):
        out[position] = reversed_digits[count - 1 - position]
    return count


cdef int _put_decimal(unsigned char* out, object text):
    """Write a plain decimal text times 10¹⁸; return how many bytes, 0 if it is none."""
    cdef const unsigned char* characters
    cdef Py_ssize_t length, position
    cdef int whole = 0, fraction = 0, size = 1
    cdef bint has_point = False
    cdef unsigned char character
    cdef uint128 value = 0, rest
    if not PyUnicode_CheckExact(text) or not PyUnicode_IS_ASCII(text):
        return 0
    characters, length = PyUnicode_1BYTE_DATA(text), PyUnicode_GET_LENGTH(text)
    for position in range(length):
        character = characters[position]
        if character == c"." and not has_point:
            has_point = True
            continue
        if character < c"0" or character > c"9":
            return 0
        if has_point:
            fraction += 1
        else:
            whole += 1
        if whole > INTEGER_DIGITS or fraction > SCALE:  # so 38 digits at most: below 2¹²⁷
            return 0
        value = value * 10 + (character - c"0")
    if not whole or has_point != (fraction > 0):
        return 0
    value *= _powers[fraction]
    rest = value >> 7  # one bit more than needed: the sign of two's complement
    while rest:
        rest >>= 8
        size += 1
    out[0] = <unsigned char>(size << 1)
    for position in range(size, 0, -1):
        out[position] = <unsigned char>(value & 0xFF)
        value >>= 8
    return size + 1


cdef class DecimalEncoder:
    """Encodes plain decimal numbers as `twin` does, which is asked about every other text."""

    cdef object twin

    def __init__(self, twin):
        self.twin = twin

    def __call__(self, text):
        """Return Avro bytes. Raises what the twin raises."""
        cdef unsigned char[FIELD_BYTES_MAX] out
        cdef int size = _put_decimal(out, text)
        return PyBytes_FromStringAndSize(<char*>out, size) if size else self.twin(text)


cdef class RecordEncoder:
    """Encodes the events of one stream of one symbol as `twin` does.

    `prefix`, `id_text` and `symbol` are those of a RecordHead, `fields` what follows the symbol
    (`streamer.data.compiled.Field`): how each is written, the event's attribute, and of an enum the
    byte of each value. A `received` field is the time of arrival. `suffix` ends each record.
    """

    cdef object twin
    cdef bytes prefix, id_text, symbol, suffix
    cdef int[FIELDS_MAX] kinds
    cdef list names, codes
    cdef int count

    def __init__(self, twin, bytes prefix not None, bytes id_text not None,
                 bytes symbol not None, fields, bytes suffix not None):
        if len(fields) > FIELDS_MAX:
            raise ValueError(f"at most {FIELDS_MAX} fields, not {len(fields)}")
        self.twin = twin
        self.prefix, self.id_text, self.symbol, self.suffix = prefix, id_text, symbol, suffix
        self.names, self.codes, self.count = [], [], len(fields)
        for position, (kind, name, codes) in enumerate(fields):
            for code in codes.values():
                if not isinstance(code, bytes) or len(code) != 1:
                    raise ValueError(f"expected one byte, not {code!r}")
            self.kinds[position] = _KINDS[kind]
            self.names.append(name)
            self.codes.append(dict(codes))

    def __call__(self, event, received_us):
        """Return the record's bytes. Raises what the twin raises."""
        try:
            record = self._record(event, received_us)
        except Exception:  # no such attribute, a number too large: the twin says what is wrong
            record = None
        return self.twin(event, received_us) if record is None else record

    cdef bytes _record(self, event, received_us):
        """Return the record's bytes; None, or any exception, for what only the twin can judge."""
        cdef unsigned char[ID_DIGITS_MAX + 1] digits
        cdef unsigned char[FIELDS_MAX * FIELD_BYTES_MAX] body
        cdef unsigned char[10] length
        cdef int digits_size, length_size, size = 0, position, kind, written
        cdef long long event_id
        cdef bytes record
        value = event.id
        if not PyLong_CheckExact(value):
            return None
        event_id = value
        if event_id < 0:
            return None
        digits_size = _put_digits(digits, event_id)
        for position in range(self.count):
            kind = self.kinds[position]
            value = received_us if kind == RECEIVED else getattr(event, self.names[position])
            if kind == LONG or kind == RECEIVED:
                if not PyLong_CheckExact(value):
                    return None
                size += _put_long(body + size, value)
            elif kind == DECIMAL:
                written = _put_decimal(body + size, value)
                if not written:
                    return None
                size += written
            elif kind == BOOLEAN:
                if value is not True and value is not False:
                    return None
                body[size] = value is True
                size += 1
            else:
                body[size] = PyBytes_AS_STRING(self.codes[position][value])[0]
                size += 1
        length_size = _put_long(length, PyBytes_GET_SIZE(self.id_text) + digits_size)
        record = PyBytes_FromStringAndSize(
            NULL,
            PyBytes_GET_SIZE(self.prefix) + length_size + PyBytes_GET_SIZE(self.id_text)
            + digits_size + PyBytes_GET_SIZE(self.symbol) + size + PyBytes_GET_SIZE(self.suffix),
        )
        cdef char* out = PyBytes_AS_STRING(record)
        out = _append(out, self.prefix)
        memcpy(out, length, length_size)
        out = _append(out + length_size, self.id_text)
        memcpy(out, digits, digits_size)
        out = _append(out + digits_size, self.symbol)
        memcpy(out, body, size)
        _append(out + size, self.suffix)
        return record


cdef char* _append(char* out, bytes piece) noexcept:
    memcpy(out, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    return out + PyBytes_GET_SIZE(piece)
