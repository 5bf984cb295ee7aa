"""What of a CustomResourceDefinition in a cluster ours would add, change or take away.

Compared are features: fields with their types and rules, printer columns, short names. A CRD that has features which
ours lacks is newer than ours or somebody else's, and replacing it would lose what objects already say: a downgrade.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from kai_sched.api.schema import OURS, CustomResource, Document, crd_document

_RULES: Final = (
    "type",
    "format",
    "pattern",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "nullable",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
)


class CrdState(StrEnum):
    """How the cluster's CRD stands to ours."""

    MISSING = "missing"
    SAME = "same"
    BEHIND = "behind"
    """Ours has more or says it otherwise, and nothing would be lost."""
    AHEAD = "ahead"
    """It has features that ours lacks: it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrdDiff:
    """The comparison of one CRD; each line names a feature."""

    name: str
    state: CrdState
    gained: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    lacks_our_fields: bool = False
    """It has no field ``kaiSched`` where ours has one: installed by KAI; our additions to objects are pruned."""


def compare(resource: CustomResource, present: Document | None) -> CrdDiff:
    """Ours against the one in the cluster."""
    if present is None:
        return CrdDiff(name=resource.name, state=CrdState.MISSING)
    ours, theirs = _features(crd_document(resource)), _features(present)
    gained = tuple(sorted(ours.keys() - theirs.keys()))
    lost = tuple(sorted(theirs.keys() - ours.keys()))
    changed = tuple(sorted(key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]))
    return CrdDiff(
        name=resource.name,
        state=CrdState.AHEAD if lost else CrdState.BEHIND if gained or changed else CrdState.SAME,
        gained=gained,
        changed=changed,
        lost=lost,
        lacks_our_fields=any(_is_ours(key) for key in gained),
    )


def replacement(resource: CustomResource, present: Document) -> Document:
    """The document that makes the cluster's CRD ours: its identity and labels, our spec."""
    ours = crd_document(resource)
    metadata = present["metadata"]
    labels = {**(metadata.get("labels") or {}), **ours["metadata"]["labels"]}
    spec = {**ours["spec"]}
    if "conversion" in present["spec"]:
        spec["conversion"] = present["spec"]["conversion"]
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    return {**ours, "metadata": {**kept, "labels": labels}, "spec": spec}


def _is_ours(feature: str) -> bool:
    return f".{OURS}" in feature


def _features(document: Document) -> dict[str, str]:
    spec = document["spec"]
    found = {f"short name {name}": "" for name in spec["names"].get("shortNames") or ()}
    found["scope"] = spec["scope"]
    for version in spec["versions"]:
        name = version["name"]
        for column in version.get("additionalPrinterColumns") or ():
            key = f"{name} column {column['name']}"
            found[key] = f"{column['type']} {column['jsonPath']} {column.get('priority', 0)}"
        schema = version.get("schema", {}).get("openAPIV3Schema", {})
        for part in ("spec", "status"):
            if part in schema.get("properties", {}):
                found.update(_fields(schema["properties"][part], f"{name} {part}"))
        if "status" in (version.get("subresources") or {}):
            found[f"{name} subresource status"] = ""
    return found


def _fields(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Every field below ``path`` with what must hold for it."""
    yield path, _summary(schema)
    for name, below in (schema.get("properties") or {}).items():
        yield from _fields(below, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from _fields(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _fields(schema["additionalProperties"], f"{path}.*")


def _summary(schema: Mapping[str, Any]) -> str:
    found = {key: schema[key] for key in _RULES if key in schema}
    if "required" in found:
        found["required"] = sorted(found["required"])
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
