"""A profile in which anything is anything ends in a verdict or in exit code 2 with a sentence."""

import argparse
import copy
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.evidence import DocumentError
from monitor.resume import disagreements, resumed_from
from monitor.segments import joined
from monitor.verdict import concluded
from supervisor.commands import judge
from supervisor.errors import UsageError
from tests import profiles
from tests.fuzzing import EXAMPLES, fuzz
from tests.unit.monitor.test_compare import Blind

DOCUMENT = json.loads(json.dumps(profiles.smoke()))
ROWS_CHANGED = 3  # of a list: the others are alike
VALUES = st.one_of(
    st.none() | st.booleans() | st.text(max_size=10) | st.integers(),
    st.sampled_from([0, -1, 10**18, 10**29, 10**400, 1e300, -1e300, 1e-300, [], {}, [[[]]]]),
    st.sampled_from(["<script>", "</script>", "\u2028", {"a": 1}]),
)


def places(value, path=()):
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(len(value), ROWS_CHANGED)):
            yield from places(value[index], (*path, index))


PLACES = list(places(DOCUMENT))

seldom = settings(fuzz, max_examples=EXAMPLES // 4)
"""For what judges several documents at each example."""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("profiles") / "profile.json"


@fuzz
@given(st.sampled_from(PLACES), VALUES, st.booleans())
def test_a_changed_profile_is_judged_or_refused(file, place, value, online):
    document = copy.deepcopy(DOCUMENT)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    file.write_text(json.dumps(document))
    options = argparse.Namespace(profile=file, online=online, against=None, report=None, json=False)
    with suppress(UsageError):  # one sentence and exit code 2; anything else is a finding
        assert judge.run(options) in (0, 3, 4)


@seldom
@given(st.sampled_from(PLACES), VALUES, st.booleans())
def test_a_changed_profile_is_compared_or_refused(file, place, value, old):
    document = copy.deepcopy(DOCUMENT)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    file.write_text(json.dumps(document))
    good = file.with_name("good.json")
    good.write_text(json.dumps(DOCUMENT))
    new, against = (good, file) if old else (file, good)
    options = argparse.Namespace(profile=new, online=False, against=against, report=None, json=True)
    with suppress(UsageError):
        assert judge.run(options) in (0, 3, 4)


@seldom
@given(st.sampled_from(PLACES), VALUES)
def test_a_changed_profile_is_gone_on_with_or_refused(place, value):
    document = copy.deepcopy(DOCUMENT)
    document["test_metadata"] |= {"ended": "stopped", "actual_duration_hours": 0.03}
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    with suppress(DocumentError):  # a sentence and exit code 2, before anything runs
        resumed = resumed_from(document, "profile.json")
        list(disagreements(resumed, {**DOCUMENT["settings"], "effective": {}}))
        concluded(joined(resumed.document, DOCUMENT), detector=Blind)


@fuzz
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0123456789.eE-NaInfity', max_size=200))
def test_bytes_that_are_no_profile_are_refused(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = argparse.Namespace(profile=file, online=False, against=None, report=None, json=False)
    with pytest.raises(UsageError):
        judge.run(options)
