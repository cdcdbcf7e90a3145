"""What trades, kept over the end of the process."""

from __future__ import annotations

import pytest

from streamer.listing.listing_file import FILE, Listing, ListingFile

KNOWN = Listing(frozenset({"BTCUSDT", "币安人生USDT"}), is_settled=True)


def test_what_is_written_is_read(tmp_path) -> None:
    ListingFile(tmp_path).write(KNOWN)
    assert ListingFile(tmp_path).read() == KNOWN


@pytest.mark.parametrize("content", [b"", b"{", b'{"trading":7}', b"\xff", b"[" * 100_000])
def test_a_file_that_cannot_be_read_is_warned_of(tmp_path, caplog, content) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert ListingFile(tmp_path).read() == Listing()
    assert "cannot be read" in caplog.text


def test_what_is_no_symbol_in_it_is_passed_over(tmp_path) -> None:
    (tmp_path / FILE).write_text('{"trading":["../X","BTCUSDT"]}')
    assert ListingFile(tmp_path).read() == Listing(frozenset({"BTCUSDT"}))


def test_without_a_directory_nothing_is_kept_and_a_disk_that_refuses_is_warned_of(
    tmp_path, caplog
) -> None:
    ListingFile(None).write(KNOWN)
    assert ListingFile(None).read() == Listing()
    ListingFile(tmp_path / "missing").write(KNOWN)
    assert "cannot be written" in caplog.text
    assert ListingFile(tmp_path / "missing").read() == Listing()
