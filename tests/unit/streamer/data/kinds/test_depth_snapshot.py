"""Books over REST: what is asked, and the record that is made of the answer."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import fastavro
import pytest

from streamer.data.kinds.depth_snapshot import KIND, read_snapshot, snapshot_request
from streamer.data.records import encoder, load_schema, record_place

BODY = json.dumps({"lastUpdateId": 123, "bids": [["2.5", "1"], ["2", "7"]], "asks": []}).encode()


@pytest.mark.parametrize(
    ("levels", "limit", "weight"),
    [(5, "5", 5), (100, "100", 5), (101, "101", 25), (1000, "1000", 50), (5000, "5000", 250),
     (9999, "5000", 250)],
)  # fmt: skip
def test_the_weight_is_by_levels(levels, limit, weight):
    request = snapshot_request("BTCUSDT", levels)
    assert request.parameters == (("symbol", "BTCUSDT"), ("limit", limit))
    assert request.weight == weight


@pytest.mark.parametrize(("prefix", "epoch", "before"), [(b"", 0, ""), (b"xyz", 7, "7:")])
@pytest.mark.parametrize("reason", ["start", "gap", "interval"])
def test_the_record_says_what_the_answer_says(reason, prefix, epoch, before):
    snapshot = read_snapshot("BTCUSDT", BODY, reason, 5)
    KIND.check_of("")(snapshot, 0, 0)
    record = encoder("depthSnapshot", "BTCUSDT", prefix=prefix, epoch=epoch)(snapshot, 10**15)
    assert record.startswith(prefix)
    assert record_place(record, len(prefix)) == (epoch, 123)
    body = io.BytesIO(record[len(prefix) :])
    read = fastavro.schemaless_reader(
        body, fastavro.parse_schema(load_schema("depthSnapshot")), None
    )
    assert body.read() == b""
    assert read["received_time"].timestamp() == 1e9
    del read["received_time"]
    assert read == {
        "record_id": f"binance:spot:BTCUSDT:depthSnapshot:{before}123",
        "symbol": "BTCUSDT",
        "last_update_id": 123,
        "reason": reason,
        "levels": 5,
        "bids": [
            {"price": Decimal("2.5"), "quantity": Decimal(1)},
            {"price": Decimal(2), "quantity": Decimal(7)},
        ],
        "asks": [],
        "source": "backfill",
    }


@pytest.mark.parametrize(
    ("bids", "asks", "told"),
    [
        ([["3", "1"], ["2", "1"], ["1", "1"]], [], "at most 2 bids"),
        ([], [["1", "1"], ["2", "1"], ["3", "1"]], "at most 2 asks"),
        ([["1", "1"], ["2", "1"]], [], "not in order"),
        ([], [["2", "1"], ["1", "1"]], "not in order"),
        ([["2", "1"]], [["2", "1"]], "crossed"),
    ],
)
def test_what_is_no_book_is_refused(bids, asks, told):
    body = json.dumps({"lastUpdateId": 1, "bids": bids, "asks": asks}).encode()
    with pytest.raises(ValueError, match=told):
        read_snapshot("BTCUSDT", body, "start", 2)
