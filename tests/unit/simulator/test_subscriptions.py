"""Control messages: documented answers and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.subscriptions import Subscriptions


def ask(subscriptions: Subscriptions, **request: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(subscriptions.answer(json.dumps(request)))
    return answer


def test_subscribe_list_unsubscribe() -> None:
    state = Subscriptions()
    names = ["btcusdt@trade", "nosuch@thing"]
    assert ask(state, method="SUBSCRIBE", params=names, id=1) == {"result": None, "id": 1}
    assert ask(state, method="LIST_SUBSCRIPTIONS", id="a-1") == {"result": names, "id": "a-1"}
    assert ask(state, method="UNSUBSCRIBE", params=names[:1], id=None) == {
        "result": None,
        "id": None,
    }
    assert list(state.names) == names[1:]


def test_properties() -> None:
    state = Subscriptions()
    assert ask(state, method="GET_PROPERTY", params=["combined"], id=2) == {
        "result": False,
        "id": 2,
    }
    assert ask(state, method="SET_PROPERTY", params=["combined", True], id=3)["result"] is None
    assert state.combined
    assert ask(state, method="GET_PROPERTY", params=["combined"], id=2)["result"] is True


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"method": "GET_PROPERTY", "params": ["nosuch"], "id": 9}, 0, "Unknown property"),
        ({"method": "SET_PROPERTY", "params": ["combined", 1]}, 1, "expected Boolean"),
        ({"method": "SET_PROPERTY", "params": [1, True]}, 2, "property name must be a string"),
        ({"method": "GET_PROPERTY", "params": []}, 2, "property name must be a string"),
        ({"method": "GET_PROPERTY", "params": ["combined", 1]}, 2, "too many parameters"),
        ({"method": "SUBSCRIBE", "params": [], "id": 1.5}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": [], "id": "x" * 37}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": [], "id": 2**63}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": [], "id": True}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": "btcusdt@trade"}, 2, "params"),
        ({"method": "subscribe"}, 2, "unknown variant `subscribe`, expected one of `SUBSCRIBE`"),
        ({"params": []}, 2, "missing field `method`"),
        ([], 2, "missing field `method`"),
    ],
)
def test_errors(request_: object, code: int, message: str) -> None:
    answer = json.loads(Subscriptions().answer(json.dumps(request_)))
    assert answer["code"] == code
    assert message in answer["msg"]


def test_only_the_unknown_property_repeats_the_id() -> None:
    state = Subscriptions()
    assert ask(state, method="GET_PROPERTY", params=["nosuch"], id=9)["id"] == 9
    assert "id" not in ask(state, method="nosuch", id=9)


def test_text_that_is_no_json_is_located() -> None:
    assert json.loads(Subscriptions().answer("{oops")) == {
        "code": 3,
        "msg": "Invalid JSON: expected value at line 1 column 2",
    }


@pytest.mark.parametrize("text", ["[" * 100_000, '{"id":' + "1" * 5000 + "}"])
def test_json_that_is_too_much_is_refused(text: str) -> None:
    assert json.loads(Subscriptions().answer(text))["code"] == 3


def test_beyond_the_limit_nothing_is_subscribed() -> None:
    state = Subscriptions(limit=2)
    ask(state, method="SUBSCRIBE", params=["a@trade", "b@trade"])
    assert ask(state, method="SUBSCRIBE", params=["a@trade"]) == {"result": None, "id": None}
    assert ask(state, method="SUBSCRIBE", params=["c@trade"])["code"] == 2
    assert list(state.names) == ["a@trade", "b@trade"]


@given(st.text())
def test_whatever_comes_an_answer_goes(text: str) -> None:
    assert isinstance(json.loads(Subscriptions().answer(text)), dict)


def test_a_list_with_a_name_that_is_refused_is_refused_as_a_whole():
    state = Subscriptions(refused=frozenset({"b@trade"}))
    request_ = {"method": "SUBSCRIBE", "params": ["a@trade", "b@trade"], "id": 1}
    assert json.loads(state.answer(json.dumps(request_)))["code"] == 2
    assert not state.names
    request_["params"] = ["a@trade"]
    assert json.loads(state.answer(json.dumps(request_))) == {"result": None, "id": 1}
