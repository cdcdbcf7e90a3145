"""Where settings come from: a TOML file, the environment, `--set`; each as a table of sections.

Each source is returned with its secrets wrapped (`streamer.secret`), and raises SettingsError.
"""

from __future__ import annotations

import logging
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from streamer.errors import SettingsError
from streamer.setting_types import hidden_keys, key_type, seal, unsound

ENVIRONMENT_PREFIX = "VIGIL_"
FILE_MAX_BYTES = 1 << 20  # 1,500 symbols take 15 kB
_DOTS_MAX = 1_000  # in a line: tomllib's time grows by the square of a key's parts
_NAME = re.compile(r"[\w.-]{0,100}")
_QUOTES = ("'", '"')

_log = logging.getLogger(__name__)


def from_file(model: type[BaseModel], path: Path) -> dict[str, Any]:
    """Return what a TOML file says; warn when it holds secrets that everybody can read."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
            mode = path.stat().st_mode
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > FILE_MAX_BYTES:
        raise SettingsError(f"{path}: is longer than {FILE_MAX_BYTES} bytes; is it the right file?")
    try:
        values = _parsed(content.decode())
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: is no valid TOML: {_cause(error)}") from None
    _check(model, values, f"{path}: ")
    if mode & stat.S_IROTH and (hidden := list(hidden_keys(values))):
        _log.warning(
            "%s: everybody on the machine can read it, and it contains %s; chmod o-r corrects that",
            path,
            ", ".join(".".join(key) for key in hidden),
        )
    return values


def is_setting(variable: str) -> bool:
    """Return whether an environment variable is a setting: one without a section is not ours."""
    return variable.startswith(ENVIRONMENT_PREFIX) and "__" in variable


def from_environment(model: type[BaseModel], environment: Mapping[str, str]) -> dict[str, Any]:
    """Take `VIGIL_EXCHANGE__SYMBOLS` and its kin."""
    values: dict[str, Any] = {}
    for name, text in environment.items():
        if is_setting(name):
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__", 2)
            _put(values, path, _value(model, path, text))
    _check(model, values, "")
    return values


def from_assignments(model: type[BaseModel], assignments: Sequence[str]) -> dict[str, Any]:
    """Take the texts after `--set`, which may hold no secret: everybody can read command lines."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        path = key.strip().split(".", 2)  # kafka.client.sasl.password: the rest is one key
        if not separator or len(path) < 2 or not all(path):
            # No more than what looks like a key: a secret may follow another sign than "=".
            name = _NAME.match(assignment)
            raise SettingsError(
                f"--set {name and name[0]}: expected section.key=value, such as "
                "connection.max_age=2h"
            )
        value = _value(model, path, text)
        if key_type(model, path).takes != "value" and _is_quoted(text):
            value = _toml(text)
        _put(values, path, value)
    _check(model, values, "--set ")
    if hidden := list(hidden_keys(values)):
        raise SettingsError("\n".join(map(_refusal, hidden)))
    return values


def _refusal(path: tuple[str, ...]) -> str:
    name = f"{ENVIRONMENT_PREFIX}{'__'.join(path).replace('.', '_').upper()}"
    return (
        f"--set {'.'.join(path)}: this is a secret, or may be one, and a command line can be read "
        f"by everybody on the machine; put it into the configuration file or the environment "
        f"({name})"
    )


def _check(model: type[BaseModel], values: dict[str, Any], where: str) -> None:
    problem = unsound(values)
    if problems := [problem] if problem else seal(model, values):
        raise SettingsError("\n".join(f"{where}{one}" for one in problems))


def _value(model: type[BaseModel], path: Sequence[str], text: str) -> Any:  # noqa: ANN401 - any TOML
    """Return what a text from outside means for a key: itself, unless the key takes more."""
    takes = key_type(model, path).takes
    if takes == "text" or (takes == "texts" and not text.lstrip().startswith("[")):
        return text
    return _toml(text)


def _is_quoted(text: str) -> bool:
    stripped = text.strip()
    return (
        stripped.startswith(_QUOTES)
        and stripped.endswith(stripped[0])
        and isinstance(_toml(text), str)
    )


def _toml(text: str) -> Any:  # noqa: ANN401 - any TOML value
    try:
        values = _parsed(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return values["value"] if values.keys() == {"value"} else text


def _parsed(text: str) -> dict[str, Any]:
    if any(line.count(".") > _DOTS_MAX for line in text.splitlines()):
        raise ValueError(f"a line has more than {_DOTS_MAX} dots")
    return tomllib.loads(text)


def _cause(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, (tomllib.TOMLDecodeError, UnicodeDecodeError)):
        return str(error)
    return f"{error}"[:200]


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:  # noqa: ANN401
    for step in path[:-1]:
        inner = values.setdefault(step, {})
        if not isinstance(inner, dict):
            return  # the value in its place is what validation will complain about
        values = inner
    values[path[-1]] = value
