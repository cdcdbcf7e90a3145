"""Of which shards what an earlier process left is delivered."""

import pytest

from streamer.group.inheritance import Inheritance
from streamer.group.notices import VERSION, ShardNotice


def notice(shard, member="b", kind="owned"):
    return ShardNotice(VERSION, kind, shard, member, f"{member}-0")


@pytest.mark.parametrize("last", [None, notice(1, "a"), notice(1, "a", "left")])
def test_what_nobody_else_has_gone_on_with_is_delivered(last):
    inheritance = Inheritance(range(2), "a")
    inheritance.assigned(1, last, is_known=True)
    assert (inheritance.undecided, inheritance.elsewhere) == ({0}, set())


@pytest.mark.parametrize(("last", "is_known"), [(notice(1), True), (None, False)])
def test_what_somebody_else_may_have_gone_on_with_is_not(last, is_known):
    inheritance = Inheritance(range(2), "a")
    inheritance.assigned(1, last, is_known=is_known)
    assert (inheritance.undecided, inheritance.elsewhere) == ({0}, {1})


def test_what_others_record_is_known_by_their_notices():
    inheritance = Inheritance(range(3), "a")
    inheritance.look([notice(0), notice(1, "a"), notice(7)])
    assert (inheritance.undecided, inheritance.elsewhere) == ({1, 2}, {0})


def test_what_was_given_back_and_taken_again_before_it_is_delivered_is_elsewhere():
    inheritance = Inheritance(range(3), "a")
    inheritance.assigned(1, None, is_known=True)
    inheritance.assigned(1, notice(1), is_known=True)
    assert inheritance.elsewhere == set(), "it is assigned but once"
    inheritance.look([notice(1)])
    assert (inheritance.undecided, inheritance.elsewhere) == ({0, 2}, {1})
