"""Records are a contract for years: every version of a schema reads what all earlier ones wrote.

`streamer/schemas/history/KIND.N.avsc` holds the versions that were ever released. They are never
changed; a change of `streamer/schemas/KIND.avsc` adds the next one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamer.sinks.kafka.registry import differences

SCHEMAS = Path(__file__).parents[3] / "streamer" / "schemas"
KINDS = sorted(path.stem for path in SCHEMAS.glob("*.avsc"))
# Avro 1.11, "Schema Resolution": what a reader may take another type for.
PROMOTIONS = {
    ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"),
    ("float", "double"), ("string", "bytes"), ("bytes", "string"),
}  # fmt: skip
LOGICAL = ("logicalType", "precision", "scale")


def problems(new: Any, old: Any, path: str) -> Iterator[str]:
    """Say why a reader with the new schema would fail, or err, on what the old one wrote."""
    if isinstance(new, list) or isinstance(old, list):
        branches = new if isinstance(new, list) else [new]
        for one in old if isinstance(old, list) else [old]:
            if all(list(problems(branch, one, path)) for branch in branches):
                yield f"{path}: {json.dumps(one)} was possible and is not any more"
        return
    new_type, old_type = kind(new), kind(old)
    if new_type != old_type and (old_type, new_type) not in PROMOTIONS:
        yield f"{path}: was {old_type}, is {new_type}"
        return
    for key in LOGICAL:
        if attribute(new, key) != attribute(old, key):
            yield f"{path}: {key} was {attribute(old, key)}, is {attribute(new, key)}"
    if new_type in ("record", "enum", "fixed") and full_name(new) != full_name(old):
        yield f"{path}: was named {full_name(old)}, is {full_name(new)}"
    if new_type == "enum":
        gone = [symbol for symbol in old["symbols"] if symbol not in new["symbols"]]
        if gone and "default" not in new:
            yield f"{path}: {', '.join(gone)} went, and there is no default"
    if new_type == "record":
        before = {field["name"]: field for field in old["fields"]}
        for field in new["fields"]:
            names = [field["name"], *field.get("aliases", [])]
            writer = next((before[name] for name in names if name in before), None)
            if writer is not None:
                yield from problems(field["type"], writer["type"], f"{path}.{field['name']}")
            elif "default" not in field:
                yield f"{path}.{field['name']}: is new, and has no default"


def kind(schema: Any) -> str:
    return schema["type"] if isinstance(schema, dict) else schema


def attribute(schema: Any, key: str) -> Any:
    return schema.get(key) if isinstance(schema, dict) else None


def full_name(schema: Any) -> tuple[str | None, str]:
    return schema.get("namespace"), schema["name"]


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def history(stream: str) -> list[Any]:
    """Return the released versions, oldest first."""
    paths = list((SCHEMAS / "history").glob(f"{stream}.*.avsc"))
    versions = {int(path.name.split(".")[1]): load(path) for path in paths}
    assert sorted(versions) == list(range(1, len(versions) + 1)), f"{stream}: versions are missing"
    return [versions[number] for number in sorted(versions)]


@pytest.mark.parametrize("stream", KINDS)
def test_the_schema_is_the_latest_version_of_its_history(stream):
    versions = history(stream)
    found = list(differences(load(SCHEMAS / f"{stream}.avsc"), versions[-1])) if versions else ["-"]
    wanted = SCHEMAS / "history" / f"{stream}.{len(versions) + 1}.avsc"
    assert not found, f"{'; '.join(found)}: if it is meant, copy the schema to {wanted}"


@pytest.mark.parametrize("stream", KINDS)
def test_every_version_reads_what_all_earlier_ones_wrote(stream):
    versions = history(stream)
    for number, new in enumerate(versions):
        for old in versions[:number]:
            assert list(problems(new, old, stream)) == []


@pytest.mark.parametrize("stream", KINDS)
def test_every_field_says_what_it_is(stream):
    schema = load(SCHEMAS / f"{stream}.avsc")
    assert schema["namespace"] == "vigil.binance"
    assert schema["doc"].endswith(".")
    assert all(field["doc"].endswith(".") for field in schema["fields"])


def edited(change: str) -> Any:
    """The trade's schema after a change that somebody might make."""
    schema = copy.deepcopy(load(SCHEMAS / "trade.avsc"))
    fields = {field["name"]: field for field in schema["fields"]}
    match change:
        case "a field with a default":
            schema["fields"].append({"name": "venue", "type": "string", "default": "spot"})
        case "a field without a default":
            schema["fields"].append({"name": "venue", "type": "string"})
        case "a field that goes":
            schema["fields"].remove(fields["buyer_is_maker"])
        case "a field renamed":
            fields["price"]["name"] = "rate"
        case "a field renamed with an alias":
            fields["price"] |= {"name": "rate", "aliases": ["price"]}
        case "another scale":
            fields["price"]["type"]["scale"] = 8
        case "milliseconds":
            fields["trade_time"]["type"]["logicalType"] = "timestamp-millis"
        case "a narrower type":
            fields["trade_id"]["type"] = "int"
        case "a wider type":
            fields["trade_id"]["type"] = "double"
        case "a field that may be absent":
            fields["event_time"]["type"] = ["null", fields["event_time"]["type"]]
        case "one more source":
            fields["source"]["type"]["symbols"].append("archive")
        case "a source less":
            fields["source"]["type"]["symbols"].remove("backfill")
            del fields["source"]["type"]["default"]
        case "another name":
            schema["name"] = "TradeRecord"
        case _:
            raise AssertionError(change)
    return schema


@pytest.mark.parametrize(
    "change",
    [
        "a field with a default",
        "a field that goes",
        "a field renamed with an alias",
        "a wider type",
        "a field that may be absent",
        "one more source",
    ],
)
def test_a_compatible_change_passes(change):
    assert list(problems(edited(change), load(SCHEMAS / "trade.avsc"), "trade")) == []


@pytest.mark.parametrize(
    "change",
    [
        "a field without a default",
        "a field renamed",
        "another scale",
        "milliseconds",
        "a narrower type",
        "a source less",
        "another name",
    ],
)
def test_an_incompatible_change_is_refused(change):
    assert list(problems(edited(change), load(SCHEMAS / "trade.avsc"), "trade"))


def test_what_may_be_absent_cannot_become_required():
    old, new = edited("a field that may be absent"), load(SCHEMAS / "trade.avsc")
    assert list(problems(new, old, "trade"))
