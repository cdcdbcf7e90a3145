"""What is said of a wrong setting is what would be right, in our words, whatever is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from streamer.setting_errors import expected
from supervisor.settings import Settings

KEYS = [
    (section, key.name)
    for section, field in Settings.model_fields.items()
    if dataclasses.is_dataclass(field.annotation)
    for key in dataclasses.fields(field.annotation)
]
WRONG: list[object] = [{"a": [1]}, [[1]], True, "", "?", -1, 1.5, 1e400, None]


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_no_value_of_any_key_is_explained_in_the_librarys_words(section: str, key: str) -> None:
    for value in WRONG:
        try:
            Settings.model_validate({section: {key: value}})
        except ValidationError as error:
            for item in error.errors():
                said = expected(item)
                assert "nput should" not in said, item
                assert "unable to" not in said, item


@pytest.mark.parametrize("section", Settings.model_fields)
def test_nor_is_a_section_that_is_no_table(section: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings.model_validate({section: 3})
    assert [expected(item) for item in error.value.errors()] in (
        ["expected a table"],
        ['expected a list, such as ["a", "b"]'],
    )


def test_a_rule_without_its_name_is_named() -> None:
    rule = {"metric": "threads", "action": "warn", "above": 1}
    with pytest.raises(ValidationError) as error:
        Settings.model_validate({"rules": [rule]})
    assert "expected a value" in [expected(item) for item in error.value.errors()]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("25h", "expected at most 86400 s"),
        ("2GiB", "expected at most 86400 bytes"),
        ("99999", "expected at most 86400"),
        ("x", "expected at most 86400"),
        (99999, "expected at most 86400"),
    ],
)
def test_a_bound_has_the_unit_of_what_was_given(given: object, said: str) -> None:
    error: dict[str, Any] = {"type": "less_than_equal", "ctx": {"le": 86400.0}, "input": given}
    assert expected(error) == said


def test_what_a_parser_of_ours_raised_stays() -> None:
    error = {"type": "value_error", "msg": "Value error, Expected so", "input": 1}
    assert expected(error) == "expected so"
