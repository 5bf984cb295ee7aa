"""Snapshot files: a Kubernetes ``List`` as YAML or JSON, as ``kubectl get ... -o yaml`` prints it, in and out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from kai_sched.api import kinds
from kai_sched.api.files import read_file
from kai_sched.api.keys import SNAPSHOT_TIME
from kai_sched.api.kinds import Kind, Raw, kind_of
from kai_sched.api.objects import ObjectSet
from kai_sched.api.times import format_time, parse_time
from kai_sched.api.translate.fields import key_text
from kai_sched.api.trim import trim
from kai_sched.errors import InvalidInput

_CLUSTER_SCOPED: Final = frozenset(
    {
        kinds.NODE,
        kinds.NAMESPACE,
        kinds.VOLUME,
        kinds.STORAGE_CLASS,
        kinds.CSI_NODE,
        kinds.CSI_DRIVER,
        kinds.PRIORITY_CLASS,
        kinds.QUEUE,
        kinds.TOPOLOGY,
        kinds.SHARD,
        kinds.RESOURCE_SLICE,
        kinds.DEVICE_CLASS,
        kinds.DEVICE_TAINT_RULE,
        Kind("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)

_FLEET: Final = Kind("kai-sched.dev", "Fleet")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a timestamp is text, 1e3 a number, 12:30 text, and a key twice is an error."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._merged: set[yaml.Node] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Before keys are merged in (``<<``), those that are written out must differ."""
        if node not in self._merged:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.tag == _MERGE:
                    # An anchor is flattened once more where another one merges it: then its keys are there twice.
                    self._merged.add(node)
                elif isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"key {key.value!r} is there twice", key.start_mark
                        )
                    seen.add(key.value)
        super().flatten_mapping(node)


_MERGE: Final = "tag:yaml.org,2002:merge"
_NOT_KUBERNETES: Final = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float", "tag:yaml.org,2002:int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_KUBERNETES]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


class _Dumper(yaml.CSafeDumper):
    """Quotes every text that the loader, or a reader of YAML 1.1, would take for something else."""


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.CSafeDumper.yaml_implicit_resolvers.get(first, ()), *resolvers]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def read_snapshot(paths: Iterable[Path | str]) -> ObjectSet:
    """All objects of these files as one set.

    Raises:
        InvalidInput: a file cannot be read, or an object has no kind or name.
    """
    objects = ObjectSet()
    for path in paths:
        parse_snapshot(read_file(Path(path)), source=str(path), into=objects)
    return objects


def parse_snapshot(content: bytes, *, source: str = "", into: ObjectSet | None = None) -> ObjectSet:
    """The objects of one file's content.

    Raises:
        InvalidInput: it is neither JSON nor YAML, or an object has no kind or name.
    """
    objects = ObjectSet() if into is None else into
    documents = _documents(content, source)
    if not documents:
        objects.remarks.append(f"{source}: holds no object")
    for document in documents:
        for place, raw in _objects_in(document, source, objects):
            try:
                completed = _completed(_with_texts(raw, source, objects))
                _remark(completed, source, objects)
                objects.add(completed)
            except (ValueError, TypeError, AttributeError) as error:
                label = f"{raw.get('kind') or 'object'} {key_text(raw)}"
                raise InvalidInput(str(error), source=source, obj=f"{place} ({label})") from error
    return objects


def snapshot_time(objects: ObjectSet, source: str = "") -> float | None:
    """When the snapshot was taken; None where the file does not say.

    Raises:
        InvalidInput: the annotation is no time.
    """
    value = objects.annotations.get(SNAPSHOT_TIME)
    if value is None:
        return None
    try:
        return parse_time(value)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            str(error), source=source, obj="List", field=f"metadata.annotations[{SNAPSHOT_TIME}]"
        ) from error


def snapshot_document(objects: Iterable[Raw], now: float) -> Raw:
    """The List that a snapshot file holds: trimmed objects and the time they were read."""
    trimmed = (trim(raw) for raw in objects)
    return {
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"annotations": {SNAPSHOT_TIME: format_time(now)}},
        "items": [raw for raw in trimmed if raw is not None],
    }


def dump_yaml(document: Any) -> str:
    """YAML with keys in the order of the document."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000))


def dump_json(document: Any) -> str:
    """JSON, indented by two."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _documents(content: bytes, source: str) -> list[Any]:
    is_json = content.lstrip()[:1] in {b"{", b"["}
    try:
        if is_json:
            return [orjson.loads(content)]
        return _yaml_documents(content)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        if is_json:
            # YAML may begin with a bracket, too.
            with suppress(ValueError, yaml.YAMLError, RecursionError):
                return _yaml_documents(content)
        raise InvalidInput(f"neither JSON nor YAML: {reason}", source=source) from error


def _yaml_documents(content: bytes) -> list[Any]:
    return [document for document in yaml.load_all(content, Loader=_Loader) if document is not None]


def _objects_in(document: Any, source: str, objects: ObjectSet) -> Iterator[tuple[str, Raw]]:
    """(place in the file, object) of a document that is one object or a list of them."""
    if isinstance(document, list):
        document = {"kind": "List", "items": document}
    if not isinstance(document, dict):
        raise InvalidInput("must hold Kubernetes objects", source=source)
    kind = document.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List") or "items" not in document:
        yield "document", document
        return
    objects.annotations.update(_annotations(document))
    items = document["items"] or []
    if not isinstance(items, list):
        raise InvalidInput("must be a list", source=source, obj=kind, field="items")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise InvalidInput("must be an object", source=source, obj=kind, field=f"items[{index}]")
        # A typed list, as the API server answers: its items carry no kind.
        is_typed = kind != "List" and "kind" not in item
        told = (
            {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")} if is_typed else {}
        )
        yield f"items[{index}]", {**told, **item}


def _remark(raw: Raw, source: str, objects: ObjectSet) -> None:
    kind, metadata = kind_of(raw), raw["metadata"]
    versions = kinds.VERSIONS.get(kind)
    version = raw["apiVersion"].rpartition("/")[2]
    if versions and version not in versions:
        objects.remarks.append(
            f"{source}: {kind.name} {key_text(raw)}: apiVersion: {version} is not known, read as {versions[-1]}"
        )
    earlier = objects.find(kind, str(metadata.get("name")), str(metadata.get("namespace") or ""))
    if earlier is not None and earlier != raw:
        objects.remarks.append(
            f"{source}: {kind.name} {key_text(raw)}: is there twice with different content, the later one holds"
        )


def _annotations(document: Raw) -> dict[str, str]:
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return dict(annotations) if isinstance(annotations, dict) else {}


def _with_texts(raw: Raw, source: str, objects: ObjectSet) -> Raw:
    """Numbers among labels and annotations as the texts that they were meant to be.

    An API server takes texts only, but many a YAML writer leaves ``5e-1`` without quotes.
    """
    metadata = raw.get("metadata")
    for part in ("labels", "annotations"):
        values = metadata.get(part) if isinstance(metadata, dict) else None
        numbers = {
            name: value
            for name, value in (values.items() if isinstance(values, dict) else ())
            if isinstance(value, int | float)
        }
        for name, value in numbers.items():
            objects.remarks.append(
                f"{source}: {raw.get('kind') or 'object'} {key_text(raw)}: metadata.{part}[{name}]: {_text_of(value)} is "
                "no text; read as one, an API server wants quotes"
            )
        if numbers and isinstance(metadata, dict) and isinstance(values, dict):
            texts = {name: _text_of(value) for name, value in numbers.items()}
            metadata = {**metadata, part: {**values, **texts}}
    return raw if metadata is raw.get("metadata") else {**raw, "metadata": metadata}


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _completed(raw: Raw) -> Raw:
    """With what the API server would have added: a namespace and a uid."""
    kind = kind_of(raw)
    metadata = raw.get("metadata")
    if kind == _FLEET:
        raise ValueError("a fleet is no snapshot: `kai-sched dev up --cluster` makes a cluster of it")
    if not isinstance(metadata, dict):
        # The type is that of bad input, not of a bug.
        raise ValueError("metadata is missing or no object")  # noqa: TRY004
    missing: Raw = {}
    if not metadata.get("namespace") and kind not in _CLUSTER_SCOPED:
        missing["namespace"] = "default"
    if not metadata.get("uid"):
        missing["uid"] = f"uid-{kind.name.lower()}-{key_text({'metadata': {**metadata, **missing}})}"
    return {**raw, "metadata": {**metadata, **missing}} if missing else raw
