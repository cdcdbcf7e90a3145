"""Archives of anybody: whatever their bytes, they are events, or one error for people."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from streamer.backfill.archive import Archive
from streamer.backfill.archive_name import parse_name
from streamer.backfill.errors import BackfillError
from tests.fuzzing import fuzz

NAME = "BTCUSDT-trades-2026-11-27.zip"
DAY_US = 1_795_737_600_000_000
TEXT = "".join(f"{number},1.5,2,3,{DAY_US + number},True,True\n" for number in range(1, 40))
FIELD = st.text("0123456789.-eTrueFalsNn,\n\x00\r", max_size=30)


def zipped(content: bytes, method: int) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as archive:
        archive.writestr(NAME.replace("zip", "csv"), content)
    return whole.getvalue()


ZIPS = tuple(
    zipped(TEXT.encode(), method)
    for method in (
        zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA,
    )
)  # fmt: skip


def check(content: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / NAME
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        path.with_name(f"{NAME}.CHECKSUM").write_text(f"{digest}  {NAME}\n")
        name = parse_name(NAME)
        assert name is not None
        before = 0
        try:
            for event in Archive(path, name).checked():
                assert event.id > before
                assert DAY_US <= event.trade_time < DAY_US + 86_400_000_000
                before = event.id
        except BackfillError as error:
            text = str(error)
            assert NAME in text, text
            assert text.isprintable(), text


@fuzz
@given(st.sampled_from(ZIPS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255))))
def test_bytes_that_are_changed(whole, changes):
    content = bytearray(whole)
    for place, value in changes:
        content[place % len(content)] = value
    check(bytes(content))


@fuzz
@given(st.one_of(st.binary(max_size=300), st.lists(FIELD, max_size=8).map(",".join)))
def test_lines_of_anything(lines):
    content = lines if isinstance(lines, bytes) else lines.encode()
    check(zipped(content, zipfile.ZIP_DEFLATED))
    check(content)
