"""docs/settings.md: every key with its type, default and meaning, made from the code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_type_hints

from monitor.rules import METRICS
from scripts.reference_pages.comments import field_comments
from scripts.reference_pages.values import type_text, value_text
from streamer.settings import LAUNCH_ONLY
from supervisor.settings import RuleConfig, Settings

INTRODUCTION = """\
# Settings

Made by `scripts/reference` from `streamer/config.py` and `supervisor/settings.py`, whose comments
are the last column.

One TOML file (`--config FILE`), `VIGIL_SECTION__KEY` in the environment over it,
`--set section.key=value` over that. Durations are `"4h"`, `"90s"`, `"500ms"`, `"1h30m"`, or a
number of seconds; sizes are `"450MiB"` (2²⁰ bytes) or `"450MB"` (10⁶), or a number of bytes.
Everything is validated as a whole; an error names its key, the wrong value and what would be right.
`python -m supervisor config` shows what is in effect.

Text is taken as it stands, whatever it looks like (`1.10`, `1234#abcd`); only `--set` takes it in
quotes, too, as TOML does. Lists are `["a", "b"]` or `a,b`, tables and numbers are TOML. Secrets (a
registry's password, user and password in a proxy's URL, values of `kafka.client` that are not known
to be harmless) come from the file or the environment: `--set` refuses them, nothing shows them, and
a file with secrets that everybody on the machine can read is warned of.
"""


def page() -> str:
    """Return the page's text."""
    parts = [INTRODUCTION]
    for name, section in _sections().items():
        title = f"[[{name}]]" if section is RuleConfig else f"[{name}]"
        parts.append("\n".join(_section(title, section)))
    metrics = (f"| `{name}` | {meaning} |" for name, meaning in METRICS.items())
    parts.append(
        "\n".join(["### Metrics of rules\n", "| metric | what it is |", "|---|---|", *metrics])
    )
    return "\n".join(parts) + "\n"


def keys_without_meaning() -> list[str]:
    """Return the keys of which neither the source nor so the page says anything."""
    return [
        f"{name}.{key}"
        for name, section in _sections().items()
        for key, meaning in field_comments(section).items()
        if not meaning and f"{name}.{key}" not in LAUNCH_ONLY
    ]


def _sections() -> dict[str, type]:
    sections: dict[str, type] = {"rules": RuleConfig}
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type):
            sections[name] = field.annotation
    sections["rules"] = sections.pop("rules")  # at the end, as in the file
    return sections


def _section(title: str, section: type) -> Iterator[str]:
    yield f"## `{title}`\n"
    yield f"{(section.__doc__ or '').strip()}\n"
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    comments = field_comments(section)
    hints = get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        if f"{title.strip('[]')}.{field.name}" in LAUNCH_ONLY:
            continue
        default = value_text(_default(field), hints[field.name])
        takes = type_text(hints[field.name])
        name = field.name.rstrip("_")  # `for` is a word of Python
        yield f"| `{name}` | {takes} | {default} | {comments[field.name]} |"
    yield ""


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default
