"""What somebody who hands in files should hear besides the decision: what in them cannot be decided, and what is not read.

A field that is spelled wrong is dropped by an API server with a warning at best; here half a gang would be bound
because ``minMembers`` was read as nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from kai_sched.api import kinds
from kai_sched.api.generated import RESOURCES
from kai_sched.api.kinds import Kind, Raw
from kai_sched.api.objects import ObjectSet
from kai_sched.api.schema import crd_document
from kai_sched.api.translate.fields import key_text
from kai_sched.model.words import counted

_MAKERS: Final = (kinds.JOB, kinds.CRON_JOB, kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.STATEFUL_SET)
"""Kinds whose controllers make pods; a file may hold them without any."""
_READ_TOO: Final = frozenset(
    {
        kinds.NATIVE_POD_GROUP,
        kinds.DEVICE_TAINT_RULE,
        Kind("scheduling.k8s.io", "Workload"),
        Kind("kai-sched.dev", "Fleet"),
    }
)
_DEEPEST: Final = 20
_MOST_FIELDS: Final = 20


def remarks_on(objects: ObjectSet) -> Iterator[str]:
    """Sentences, each about one kind or one field."""
    yield from _without_pods(objects)
    yield from _not_read(objects)
    yield from _unknown_fields(objects)


def _without_pods(objects: ObjectSet) -> Iterator[str]:
    owners = {
        (str(reference.get("kind")), str(reference.get("name")), str(raw["metadata"].get("namespace") or ""))
        for kind in (kinds.POD, *_MAKERS)
        for raw in objects.of(kind)
        for reference in _references(raw)
    }
    for kind in _MAKERS:
        idle = [
            raw
            for raw in objects.of(kind)
            if (kind.name, raw["metadata"]["name"], str(raw["metadata"].get("namespace") or "")) not in owners
        ]
        if idle:
            verb, pronoun = ("has", "its") if len(idle) == 1 else ("have", "their")
            yield (
                f"{counted(len(idle), kind.name)} {verb} no pods yet and cannot be decided: "
                f"add {pronoun} pods to the file ({', '.join(key_text(raw) for raw in idle[:3])}"
                f"{', ...' if len(idle) > 3 else ''})"
            )


def _references(raw: Raw) -> list[Mapping[str, Any]]:
    found = raw["metadata"].get("ownerReferences")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _not_read(objects: ObjectSet) -> Iterator[str]:
    known = {*kinds.VERSIONS, *_READ_TOO}
    owners = {(reference.get("kind")) for raw in objects.of(kinds.POD) for reference in _references(raw)}
    counts = Counter(
        {
            kind: len(objects.of(kind))
            for kind in objects.kinds
            if kind not in known and kind.name not in owners
        }
    )
    for kind, count in sorted(counts.items()):
        yield f"{counted(count, str(kind))} not read: nothing that is decided depends on this kind"


def _unknown_fields(objects: ObjectSet) -> Iterator[str]:
    for kind, schema in _schemas().items():
        for raw in objects.of(kind):
            found = list(_unknown(raw.get("spec"), schema, "spec"))
            for path, known in found[:_MOST_FIELDS]:
                name = path.rpartition(".")[2]
                near = get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                yield f"{kind.name} {key_text(raw)}: {path} is not a field of this kind and has no effect{hint}"
            if len(found) > _MOST_FIELDS:
                yield f"{kind.name} {key_text(raw)}: {len(found) - _MOST_FIELDS} more unknown fields"


@cache
def _schemas() -> dict[Kind, Mapping[str, Any]]:
    """The schema of ``spec`` by kind."""
    found = {}
    for resource in RESOURCES:
        spec = crd_document(resource)["spec"]
        schema = spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"].get("spec", {})
        found[Kind(spec["group"], spec["names"]["kind"])] = schema
    return found


def _unknown(
    value: object, schema: Mapping[str, Any], path: str, depth: int = 0
) -> Iterator[tuple[str, list[str]]]:
    """(path, fields that there are) of everything that the schema does not know."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, schema.get("items") or {}, f"{path}[{index}]", depth + 1)
        return
    fields = schema.get("properties")
    if not isinstance(value, dict) or not fields or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    for name, inner in value.items():
        if name in fields:
            yield from _unknown(inner, fields[name], f"{path}.{name}", depth + 1)
        else:
            yield f"{path}.{name}", sorted(fields)
