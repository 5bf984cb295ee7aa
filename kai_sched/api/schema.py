"""CustomResourceDefinitions from pydantic models: structural OpenAPI with CEL rules.

pydantic's JSON schema is rewritten to what the API server takes: references inlined, ``X or null`` as ``X``, titles
and defaults dropped (a default would change stored objects; KAI applies its own when it reads).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

Document = dict[str, Any]
OURS: Final = "kaiSched"
"""The field under spec and status that KAI's own CRDs do not have."""
_COPIED: Final = (
    "type",
    "format",
    "description",
    "pattern",
    "enum",
    "minimum",
    "maximum",
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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``; priority 1 is shown with ``-o wide`` only."""

    name: str
    type: str
    path: str
    description: str = ""
    priority: int = 0

    def document(self) -> Document:
        """The wire form."""
        found: Document = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            found["description"] = self.description
        if self.priority:
            found["priority"] = self.priority
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomResource:
    """One kind of ours: its model and how the API server serves it."""

    model: type[BaseModel]
    group: str
    version: str
    plural: str
    is_namespaced: bool
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()

    @property
    def name(self) -> str:
        """Name of the CustomResourceDefinition, which is also its file's name."""
        return f"{self.plural}.{self.group}"


def crd_document(resource: CustomResource) -> Document:
    """The CustomResourceDefinition of one kind."""
    kind = resource.model.__name__
    names: Document = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": resource.plural,
        "singular": kind.lower(),
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    version: Document = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": _root_schema(resource.model)},
    }
    if resource.columns:
        version["additionalPrinterColumns"] = [column.document() for column in resource.columns]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.name, "labels": {"app.kubernetes.io/part-of": "kai-sched"}},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.is_namespaced else "Cluster",
            "versions": [version],
        },
    }


def structural(schema: Document, definitions: Document) -> Document:
    """One JSON schema as the API server takes it."""
    schema = _resolved(schema, definitions)
    if "anyOf" in schema and not schema.get("x-kubernetes-int-or-string"):
        schema = _without_null(schema, definitions)
    found: Document = {key: schema[key] for key in _COPIED if key in schema}
    if "const" in schema:
        found["enum"] = [schema["const"]]
    if "exclusiveMinimum" in schema:
        found |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    if schema.get("x-kubernetes-int-or-string"):
        found["anyOf"] = schema["anyOf"]
    if "items" in schema:
        found["items"] = structural(schema["items"], definitions)
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = structural(schema["additionalProperties"], definitions)
    if "properties" in schema:
        found["properties"] = {
            name: structural(value, definitions) for name, value in schema["properties"].items()
        }
    return found


def _root_schema(model: type[BaseModel]) -> Document:
    schema = model.model_json_schema(by_alias=True)
    found = structural(schema, schema.get("$defs", {}))
    text = {"type": "string"}
    found["properties"] = {
        "apiVersion": text,
        "kind": text,
        "metadata": {"type": "object"},
        **found["properties"],
    }
    return found


def _resolved(schema: Document, definitions: Document) -> Document:
    """The schema with its reference replaced by what it names; what is said beside the reference wins."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_resolved(definitions[reference.rpartition("/")[2]], definitions), **beside}


def _without_null(schema: Document, definitions: Document) -> Document:
    branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
    if len(branches) != 1:
        raise TypeError(f"a field may have one type only, not {schema['anyOf']}")
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**_resolved(branches[0], definitions), **beside}
