import itertools
import json

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streamer.network.subscriptions import SubscriptionResponse, Subscriptions


def agree(message):
    return SubscriptionResponse(json.loads(message)["id"], None)


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b'{"result":null,"id":1}', SubscriptionResponse(1, None)),
        (b'{"result":["a@trade"],"id":3}', SubscriptionResponse(3, None, ["a@trade"])),
        (b'{"result":null,"id":null}', SubscriptionResponse(None, None)),
        (
            b'{"code":2,"msg":"Invalid request"}',
            SubscriptionResponse(None, "Invalid request (code 2)"),
        ),
        (b'{"code":1,"msg":"bad","id":7}', SubscriptionResponse(7, "bad (code 1)")),
        (b'{"error":{"code":3,"msg":"bad"},"id":"x"}', SubscriptionResponse("x", "bad (code 3)")),
        (b'{"result":null,"id":true}', SubscriptionResponse(None, None)),  # which is not our 1
        (b'{"result":null,"id":1.0}', SubscriptionResponse(None, None)),
        (b'{"result":null,"id":[1]}', SubscriptionResponse(None, None)),
        (
            b'{"error":{"code":{"a":[]},"msg":["\\u001b[2J"]},"id":1}',
            SubscriptionResponse(1, r"['\x1b[2J'] (code {'a': []})"),
        ),
        (
            b'{"code":1,"msg":"a\\n\\u202eb","id":1}',
            SubscriptionResponse(1, r"a\n\u202eb (code 1)"),
        ),
    ],
)
def test_answers_in_every_known_shape(payload, answer):
    assert SubscriptionResponse.parse(payload) == answer


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
    assert SubscriptionResponse.parse(payload) is None


@given(st.binary(max_size=50))
def test_no_bytes_break_it(payload):
    SubscriptionResponse.parse(payload)


def test_no_depth_breaks_it():
    depths = range(900, 1050)  # what decodes may be too deep for `repr`
    for depth, (begin, end) in itertools.product(depths, (("[", "]"), ('{"a":', "}"))):
        deep = begin * depth + "1" + end * depth
        for key in ("code", "msg", "id", "result", "error"):
            message = {"code": 1, "msg": 1, "id": 1, key: 0}
            payload = json.dumps(message).replace(f'"{key}": 0', f'"{key}": {deep}')
            SubscriptionResponse.parse(payload.encode())


def test_a_refusal_of_a_megabyte_is_cut():
    answer = SubscriptionResponse.parse(b'{"code":1,"msg":"' + b"x" * 1_000_000 + b'","id":1}')
    assert len(answer.error) < 500


@pytest.mark.parametrize("result", [[["a@trade"]], [{}, None, 1, True], {"a@trade": 1}, "a@trade"])
def test_a_list_of_anything_but_names_is_taken(result):
    subscriptions = Subscriptions()
    (message,) = subscriptions.ask(["a@trade"])
    (listing,) = subscriptions.take(agree(message))
    assert not subscriptions.take(SubscriptionResponse(json.loads(listing)["id"], None, result))
    assert subscriptions.complete
    assert subscriptions.missing == (("a@trade",) if isinstance(result, list) else ())


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
    subscriptions.take(
        SubscriptionResponse(json.loads(question)["id"], None, ["c@trade", "a@trade"])
    )
    assert subscriptions.complete
    assert subscriptions.missing == ("b@trade",)


def test_a_further_wish_is_asked_for_and_checked_again():
    subscriptions = Subscriptions()
    (message,) = subscriptions.ask(["a@trade"])
    (question,) = subscriptions.take(agree(message))
    subscriptions.take(SubscriptionResponse(json.loads(question)["id"], None, []))
    assert subscriptions.missing == ("a@trade",)
    (message,) = subscriptions.ask(["a@trade", "b@trade"])
    assert json.loads(message)["params"] == ["b@trade"]
    assert not subscriptions.acknowledged
    (question,) = subscriptions.take(agree(message))
    subscriptions.take(
        SubscriptionResponse(json.loads(question)["id"], None, ["b@trade", "a@trade"])
    )
    assert subscriptions.missing == ()


@pytest.mark.parametrize("request_id", [None, 1])
def test_a_refusal_is_kept(request_id):
    subscriptions = Subscriptions()
    subscriptions.ask(["a@trade"])
    subscriptions.take(SubscriptionResponse(request_id, "Invalid request (code 2)"))
    assert not subscriptions.acknowledged
    assert subscriptions.refusal == "the exchange refused: Invalid request (code 2)"


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_refused_list_leaves_the_subscriptions(anonymous):
    subscriptions = Subscriptions()
    (message,) = subscriptions.ask(["a@trade"])
    (question,) = subscriptions.take(agree(message))
    request_id = None if anonymous else json.loads(question)["id"]
    subscriptions.take(SubscriptionResponse(request_id, "unknown method (code 1)"))
    assert subscriptions.complete
    assert subscriptions.refusal is None


def test_answers_to_questions_of_others_change_nothing():
    subscriptions = Subscriptions()
    subscriptions.ask(["a@trade"])
    assert subscriptions.take(SubscriptionResponse(99, None)) == []
    assert subscriptions.take(SubscriptionResponse(99, "no (code 1)")) == []
    assert not subscriptions.acknowledged
    assert subscriptions.refusal is None


def established(*streams):
    """Return subscriptions that are agreed and listed."""
    subject = Subscriptions()
    [message] = subject.ask(streams)
    [look] = subject.take(agree(message))
    subject.take(SubscriptionResponse(json.loads(look)["id"], None, list(streams)))
    assert subject.complete
    return subject


def test_streams_come_and_go_later_and_are_looked_at_again():
    subject = established("a@trade", "b@trade")
    [message] = subject.give_back(["a@trade", "unknown@trade"])
    assert json.loads(message)["method"] == "UNSUBSCRIBE"
    assert json.loads(message)["params"] == ["a@trade"]
    [other] = subject.ask(["b@trade", "c@trade"])
    assert json.loads(other)["params"] == ["c@trade"]
    assert subject.holds("a@trade")
    assert subject.take(agree(message)) == []
    assert not subject.holds("a@trade")
    [look] = subject.take(agree(other))
    assert not subject.complete
    subject.take(SubscriptionResponse(json.loads(look)["id"], None, ["b@trade", "c@trade"]))
    assert subject.complete
    assert subject.missing == ()


def test_a_list_that_was_asked_for_before_a_change_says_nothing():
    subject = Subscriptions()
    [message] = subject.ask(["a@trade"])
    [look] = subject.take(agree(message))
    [later] = subject.ask(["b@trade"])
    subject.take(SubscriptionResponse(json.loads(look)["id"], None, ["a@trade"]))
    assert subject.missing == ()
    assert not subject.complete
    [again] = subject.take(agree(later))
    subject.take(SubscriptionResponse(json.loads(again)["id"], None, ["a@trade"]))
    assert subject.missing == ("b@trade",)


def test_a_stream_that_is_wanted_again_before_it_was_given_back_is_held():
    subject = established("a@trade", "b@trade")
    [away] = subject.give_back(["a@trade"])
    [again] = subject.ask(["a@trade"])
    subject.take(agree(away))
    assert subject.holds("a@trade")
    subject.take(agree(again))
    assert subject.holds("a@trade")


def converse(subject, messages, bad, *, anonymous=False):
    """Answer as an exchange that refuses every list with a bad name; return how many it heard."""
    listed, heard = set(), 0
    while messages:
        heard += 1
        request = json.loads(messages.pop(0))
        names = request.get("params", [])
        if bad.isdisjoint(names):
            listed.update(names)
            answer = SubscriptionResponse(request["id"], None, sorted(listed))
        else:
            answer = SubscriptionResponse(None if anonymous else request["id"], "no (code 2)")
        messages += subject.take(answer)
        if subject.refusal is not None:
            break
    return heard


def test_a_later_refusal_costs_only_what_was_asked_for():
    subject = established("a@trade")
    [message] = subject.ask(["b@trade"])
    [look] = subject.take(SubscriptionResponse(json.loads(message)["id"], "no (code 2)"))
    assert subject.refusal is None
    assert subject.trouble is None
    assert not subject.stuck
    assert subject.take_refused() == {"b@trade": "the exchange refused: no (code 2)"}
    assert subject.take_refused() == {}
    assert not subject.holds("b@trade")
    subject.take(SubscriptionResponse(json.loads(look)["id"], None, ["a@trade"]))
    assert subject.missing == ()
    assert subject.complete
    assert subject.give_back(["b@trade"]) == []
    [again] = subject.ask(["b@trade"])
    subject.take(agree(again))
    assert subject.holds("b@trade")


@given(
    st.integers(2, 300).flatmap(
        lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), max_size=4))
    ),
    st.booleans(),
)
def test_names_that_are_refused_are_isolated_and_all_others_are_accepted(drawn, anonymous):
    count, bad = drawn
    assume(len(bad) < count)
    names = [f"symbol{number:04}usdt@aggTrade" for number in range(count)]
    refused = {names[number] for number in bad}
    subject = Subscriptions()

    heard = converse(subject, subject.ask(names), refused, anonymous=anonymous)

    assert subject.complete
    assert set(subject.take_refused()) == refused
    assert [name for name in names if not subject.holds(name)] == [
        name for name in names if name in refused
    ]
    assert subject.missing == ()
    assert heard <= 4 + 2 * len(refused) * count.bit_length()


@pytest.mark.parametrize("count", [1, 2, 5, 1000])
def test_an_exchange_that_accepts_nothing_at_all_refuses_the_connection(count):
    names = [f"symbol{number:04}usdt@trade" for number in range(count)]
    subject = Subscriptions()
    heard = converse(subject, subject.ask(names), set(names))
    assert subject.refusal == "the exchange refused: no (code 2)"
    assert not subject.acknowledged
    assert heard <= 101


def test_what_is_given_back_while_it_is_isolated_is_not_asked_for_again():
    subject = established("z@trade")
    [both] = subject.ask(["a@trade", "b@trade"])
    [away] = subject.give_back(["a@trade"])
    [other] = subject.take(SubscriptionResponse(json.loads(both)["id"], "no (code 2)"))
    assert json.loads(other)["params"] == ["b@trade"]  # it may have been the other one
    subject.take(agree(away))
    subject.take(agree(other))
    assert not subject.holds("a@trade")
    assert subject.holds("b@trade")
    assert subject.take_refused() == {}


def test_one_that_the_exchange_does_not_take_back_is_stuck():
    subject = established("a@trade", "b@trade")
    subject.give_back(["a@trade"])
    subject.take(SubscriptionResponse(None, "no (code 2)"))
    assert subject.stuck
    assert subject.holds("a@trade")


@given(st.lists(st.text(min_size=1, max_size=60), max_size=300))
def test_streams_are_given_back_in_small_frames(streams):
    subject = Subscriptions()
    subject.ask(streams)
    messages = subject.give_back(streams)
    assert all(len(message) < 3500 for message in messages)
