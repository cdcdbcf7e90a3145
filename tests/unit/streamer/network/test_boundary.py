import logging

from streamer.network import boundary
from streamer.network.boundary import explain_unexpected


def caught(text):
    try:
        {}[text]
    except KeyError as error:
        return error


def test_the_first_of_a_kind_is_logged_whole_and_every_one_is_explained(caplog, monkeypatch):
    monkeypatch.setattr(boundary, "_told", set())
    texts = [explain_unexpected(caught(text), "a test ran") for text in ("one", "two")]
    assert texts == [
        f"a mistake in Vigil while a test ran: KeyError: '{text}'" for text in ("one", "two")
    ]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert isinstance(record.exc_info[1], KeyError)

    explain_unexpected(ValueError("never raised"), "a test ran")
    assert len(caplog.records) == 2


def test_foreign_text_in_it_is_printable_and_cut(monkeypatch):
    monkeypatch.setattr(boundary, "_told", set())
    text = explain_unexpected(ValueError("\x1b[2J\n" * 1000), "a test ran")
    assert text.isprintable()
    assert len(text) < 500
