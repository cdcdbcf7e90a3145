"""The audit tells records by epoch and id, and where the exchange has begun its ids anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.audit_epochs import audit_epochs, epoch_of

EPOCH = 1_795_784_389
OLD, NEW = range(5000, 5010), range(1000, 1010)


def payload(trade_id: int, at: int) -> dict[str, object]:
    time = 10**15 + at * 1000
    return {"s": "BTCUSDT", "t": trade_id, "E": time, "T": time, "p": "1.5", "q": "2", "m": True}


LATER = [payload(trade_id, at) for at, trade_id in enumerate((*OLD, *NEW, 10, 11))]
TAPE = LATER[:20]


def record(index: int, epoch: int) -> dict[str, object]:
    told = LATER[index]
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(str(told["T"])))
    middle = f"{epoch}:" if epoch else ""
    return {
        "record_id": f"binance:spot:BTCUSDT:trade:{middle}{told['t']}", "source": "live",
        "symbol": "BTCUSDT", "trade_id": told["t"], "event_time": time, "trade_time": time,
        "price": Decimal("1.5"), "quantity": Decimal(2), "buyer_is_maker": True,
    }  # fmt: skip


def recorded(*indices: int, epoch: int = EPOCH) -> list[dict[str, object]]:
    return [record(index, epoch if index >= len(OLD) else 0) for index in indices]


def audit(records, tape=TAPE):
    return audit_epochs(records, tape, "trade", "BTCUSDT")


def test_two_numberings_that_are_whole_are_clean():
    found = audit(recorded(*range(3, 20)))
    assert found.audit.clean
    assert found.audit.count == 17
    assert found.numbering == {0: 0, EPOCH: 1}
    assert found.last_numbering == 1


def test_what_is_missing_at_either_side_of_the_beginning_is_told_by_numbering_and_id():
    found = audit(recorded(0, 1, *range(3, 8), *range(12, 20)))
    assert found.audit.missing == ((0, 5002), (0, 5008), (0, 5009), (1, 1000), (1, 1001))
    assert found.audit.intact


def test_what_lies_between_two_epochs():
    found = audit(recorded(*range(2, 8), *range(12, 20)))
    assert found.before(EPOCH) == [(0, 5008), (0, 5009), (1, 1000), (1, 1001)]
    assert found.before(0) == [(0, 5000), (0, 5001)]
    assert audit(recorded(*range(20))).before(EPOCH) == []
    assert audit(recorded(*range(20))).before(EPOCH + 1) == []


def test_a_numbering_of_which_nothing_is_there_is_missing():
    found = audit([*recorded(8, 9), record(20, EPOCH), record(21, EPOCH)], LATER)
    assert found.audit.missing == tuple((1, trade_id) for trade_id in NEW)
    assert found.numbering == {0: 0, EPOCH: 2}


def test_an_old_one_after_a_new_one_is_out_of_order():
    found = audit(recorded(*range(9), 10, 9, *range(11, 20)))
    assert found.audit.disordered == ((0, 5009),)


def test_a_new_one_with_the_old_epoch_is_wrong():
    records = recorded(*range(20))
    records[12] = record(12, 0)
    found = audit(records)
    assert found.audit.missing == ((1, 1002),)
    assert found.audit.foreign == ((0, 1002),)


def test_two_epochs_for_one_numbering_are_wrong():
    found = audit(recorded(*range(15)) + recorded(*range(15, 20), epoch=EPOCH + 1))
    assert "numbering 1 has several epochs" in found.audit.wrong


def test_an_epoch_that_the_tape_does_not_have_is_refused():
    stray = record(3, EPOCH) | {"trade_id": 77}
    with pytest.raises(ValueError, match=f"nothing of epoch {EPOCH}"):
        audit([*recorded(*range(9)), stray])


def test_the_epoch_stands_after_the_stream():
    assert epoch_of("binance:spot:BTCUSDT:trade:5000") == 0
    assert epoch_of(f"binance:spot:BTCUSDT:trade:{EPOCH}:5000") == EPOCH
    assert epoch_of("binance:spot:BTCUSDT:trade:gap:5000-5003") == 0
    assert epoch_of(f"binance:spot:BTCUSDT:trade:{EPOCH}:gap:5000-5003") == EPOCH
