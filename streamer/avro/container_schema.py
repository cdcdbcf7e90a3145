"""The schema in a container file's header, such that every common reader takes it. Pure.

It describes the same bytes as the schema that readers and registries know. Two things that the
specification allows stop polars 2.1 (docs/decisions/0090-files-for-every-reader.md):

- a field's default: only a reader's schema uses it, so that in a writer's it has no meaning;
- a named type that is referred to by its name where it is used again. Here each use is a definition
  of its own, of the same name in another namespace: two of the same full name are not allowed, and
  schemas are resolved by the names without their namespaces.
"""

from __future__ import annotations

from typing import Any

_NAMED = ("record", "enum", "fixed")


def container_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a record for the header of a container file."""
    copied: dict[str, Any] = _Copy(str(schema.get("namespace", ""))).of(schema, "")
    return copied


class _Copy:
    """Copies one schema; `namespace` is that of its types."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._defined: dict[str, Any] = {}  # without its namespace: all are in one

    def of(self, part: Any, field_name: str) -> Any:  # noqa: ANN401 - JSON
        """Return a copy of a type that is used in a field of this name."""
        if isinstance(part, list):
            return [self.of(branch, field_name) for branch in part]
        if isinstance(part, str):
            definition = self._defined.get(part.rpartition(".")[2])
            if definition is None:
                return part
            return {**definition, "namespace": f"{self._namespace}.{field_name}"}
        copied = dict(part)
        for key in ("type", "items", "values"):
            if key in copied:
                copied[key] = self.of(copied[key], field_name)
        if "fields" in copied:
            copied["fields"] = [self._field(field) for field in copied["fields"]]
        if copied.get("type") in _NAMED:
            self._defined[str(copied["name"])] = copied  # behind its fields: none contains itself
        return copied

    def _field(self, field: dict[str, Any]) -> dict[str, Any]:
        copied = {key: value for key, value in field.items() if key != "default"}
        copied["type"] = self.of(field["type"], str(field["name"]))
        return copied
