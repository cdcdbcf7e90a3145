import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.control import Answer, Subscriptions


def agree(message):
    return Answer(json.loads(message)["id"], None)


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b'{"result":null,"id":1}', Answer(1, None)),
        (b'{"result":["a@trade"],"id":3}', Answer(3, None, ["a@trade"])),
        (b'{"result":null,"id":null}', Answer(None, None)),
        (b'{"code":2,"msg":"Invalid request"}', Answer(None, "Invalid request (code 2)")),
        (b'{"code":1,"msg":"bad","id":7}', Answer(7, "bad (code 1)")),
        (b'{"error":{"code":3,"msg":"bad"},"id":"x"}', Answer("x", "bad (code 3)")),
    ],
)
def test_answers_in_every_known_shape(payload, answer):
    assert Answer.parse(payload) == answer


@pytest.mark.parametrize(
    "payload",
    [
        b'{"e":"trade","E":1,"s":"BTCUSDT","t":1,"id":2,"result":1}',
        b'{"stream":"btcusdt@trade","data":{}}',
        b'{"e":"serverShutdown","E":1}',
        b'{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1"}',
        b'{"lastUpdateId":1,"bids":[],"asks":[]}',
        b'{"result":null}',
        b'{"error":"text","id":1}',
        b"[]",
        b"not json",
        b"\xff",
        b"",
    ],
)
def test_everything_else_is_none(payload):
    assert Answer.parse(payload) is None


@given(st.binary(max_size=50))
def test_no_bytes_break_it(payload):
    Answer.parse(payload)


@given(st.lists(st.text(min_size=1, max_size=60), max_size=300))
def test_every_stream_is_asked_for_once_in_small_frames(streams):
    messages = Subscriptions().ask(streams)
    decoded = [msgspec.json.decode(message) for message in messages]
    assert [name for message in decoded for name in message["params"]] == list(
        dict.fromkeys(streams)
    )
    assert all(message["method"] == "SUBSCRIBE" for message in decoded)
    assert all(len(message) <= 3500 for message in messages)
    assert len({message["id"] for message in decoded}) == len(messages)


def test_frames_are_filled():
    assert len(Subscriptions().ask([f"symbol{n:04}usdt@aggTrade" for n in range(1024)])) <= 9


def test_acknowledged_when_every_answer_is_there_and_then_the_list_is_asked_for():
    subscriptions = Subscriptions()
    assert not subscriptions.acknowledged
    first, second = subscriptions.ask([f"symbol{n:04}usdt@aggTrade" for n in range(200)])
    assert subscriptions.take(agree(first)) == []
    assert not subscriptions.acknowledged
    assert subscriptions.unanswered == 1
    (question,) = subscriptions.take(agree(second))
    assert subscriptions.acknowledged
    assert not subscriptions.complete
    assert json.loads(question)["method"] == "LIST_SUBSCRIPTIONS"


def test_streams_that_are_not_listed_are_missing():
    subscriptions = Subscriptions()
    (message,) = subscriptions.ask(["a@trade", "b@trade", "c@trade"])
    (question,) = subscriptions.take(agree(message))
    subscriptions.take(Answer(json.loads(question)["id"], None, ["c@trade", "a@trade"]))
    assert subscriptions.complete
    assert subscriptions.missing == ("b@trade",)


def test_a_further_wish_is_asked_for_and_checked_again():
    subscriptions = Subscriptions()
    (message,) = subscriptions.ask(["a@trade"])
    (question,) = subscriptions.take(agree(message))
    subscriptions.take(Answer(json.loads(question)["id"], None, []))
    assert subscriptions.missing == ("a@trade",)
    (message,) = subscriptions.ask(["a@trade", "b@trade"])
    assert json.loads(message)["params"] == ["b@trade"]
    assert not subscriptions.acknowledged
    (question,) = subscriptions.take(agree(message))
    subscriptions.take(Answer(json.loads(question)["id"], None, ["b@trade", "a@trade"]))
    assert subscriptions.missing == ()


@pytest.mark.parametrize("request_id", [None, 1])
def test_a_refusal_is_kept(request_id):
    subscriptions = Subscriptions()
    subscriptions.ask(["a@trade"])
    subscriptions.take(Answer(request_id, "Invalid request (code 2)"))
    assert not subscriptions.acknowledged
    assert subscriptions.refusal == "the exchange refused: Invalid request (code 2)"


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_refused_list_leaves_the_subscriptions(anonymous):
    subscriptions = Subscriptions()
    (message,) = subscriptions.ask(["a@trade"])
    (question,) = subscriptions.take(agree(message))
    request_id = None if anonymous else json.loads(question)["id"]
    subscriptions.take(Answer(request_id, "unknown method (code 1)"))
    assert subscriptions.complete
    assert subscriptions.refusal is None


def test_answers_to_questions_of_others_change_nothing():
    subscriptions = Subscriptions()
    subscriptions.ask(["a@trade"])
    assert subscriptions.take(Answer(99, None)) == []
    assert subscriptions.take(Answer(99, "no (code 1)")) == []
    assert not subscriptions.acknowledged
    assert subscriptions.refusal is None
