"""What was different about two runs, apart from what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from monitor.evidence import Evidence
from monitor.report.text import clock

LENGTHS_ALIKE: Final = 0.02  # as much as a complete run may be short of
_LONGEST_VALUE: Final = 60
_NOT_COMPARED: Final = (
    "exchange.symbols", "exchange.streams",  # told apart from the other settings
    "sink.directory", "supervisor.runtime_directory", "supervisor.state_directory",
)  # fmt: skip
"""Directories differ from run to run, and say nothing about it."""


def caveats_of(
    new: Mapping[str, Any], new_evidence: Evidence, old: Mapping[str, Any], old_evidence: Evidence
) -> Iterator[str]:
    """Yield a sentence for each condition that was not the same, the gravest first."""
    for name, evidence in (("OLD", old_evidence), ("NEW", new_evidence)):
        if not evidence.own_format:
            yield f"{name} is in the predecessor's format, which sampled itself and knows less"
        elif evidence.ended != "completed":
            yield f"{name} did not come to its end ({evidence.ended or 'not recorded'})"
        if len(evidence.processes) > 1:
            yield f"{name} has {len(evidence.processes)} processes of a streamer"
        if len(evidence.segments) > 1:
            yield f"{name} was resumed: it has {len(evidence.segments)} segments"
    lengths = old_evidence.elapsed_seconds, new_evidence.elapsed_seconds
    if abs(lengths[1] - lengths[0]) > LENGTHS_ALIKE * max(lengths):
        yield f"duration: {clock(lengths[0])} before, {clock(lengths[1])} now"
    for title, before, now in (
        ("soak", _plan(old), _plan(new)),
        ("symbols", set(old_evidence.symbols), set(new_evidence.symbols)),
        (
            "streams",
            *(set(one.settings.get("streams") or ()) for one in (old_evidence, new_evidence)),
        ),
    ):
        if before != now:
            yield f"{title}: {_shown(before)} before, {_shown(now)} now"
    yield from changes(old, new)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each value of environment and settings that is another."""
    yield from _different("environment", _environment(old), _environment(new))
    yield from _different("setting", _settings(old), _settings(new))


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    found = _flat((document.get("settings") or {}).get("effective") or {})
    return {key: value for key, value in found.items() if key not in _NOT_COMPARED}


def _plan(document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a name, or nothing
    return (document.get("profile") or {}).get("name")


def _environment(document: Mapping[str, Any]) -> dict[str, Any]:
    return _flat(document.get("environment") or {})


def _different(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{what} {key}: {_shown(old.get(key))} before, {_shown(new.get(key))} now"


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever a document holds
    if isinstance(value, set):
        value = ", ".join(sorted(map(str, value)))
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
