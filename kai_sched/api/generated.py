"""The files of the repository that are generated from models: CRDs, and schema and page of the settings."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Final

import orjson
import yaml

from kai_sched.api.pod_group import POD_GROUP
from kai_sched.api.queue import QUEUE
from kai_sched.api.scheduling_shard import SCHEDULING_SHARD
from kai_sched.api.schema import CustomResource, crd_document
from kai_sched.api.settings import settings_schema
from kai_sched.api.settings_page import settings_page
from kai_sched.api.topology import TOPOLOGY

RESOURCES: Final[tuple[CustomResource, ...]] = (QUEUE, POD_GROUP, TOPOLOGY, SCHEDULING_SHARD)
CRD_FOLDER: Final = "crds"
SETTINGS_SCHEMA: Final = "docs/reference/configuration.schema.json"
SETTINGS_PAGE: Final = "docs/reference/configuration.md"
_HEADER: Final = "# Generated from kai_sched/api by `kai-sched crds generate`; do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """No anchors: a reader should not have to look elsewhere in the file."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (signature of yaml)
        return True


def generated_files() -> dict[str, str]:
    """Path in the repository → text."""
    crds = {
        f"{CRD_FOLDER}/{resource.group}_{resource.plural}.yaml": _crd_text(resource) for resource in RESOURCES
    }
    schema = orjson.dumps(settings_schema(), option=orjson.OPT_INDENT_2).decode() + "\n"
    return {**crds, SETTINGS_SCHEMA: schema, SETTINGS_PAGE: settings_page()}


def drifted(root: Path) -> tuple[str, ...]:
    """Paths that are not what the models say: missing, different, or a CRD file of nobody."""
    wanted = generated_files()
    strays = {f"{CRD_FOLDER}/{path.name}" for path in (root / CRD_FOLDER).glob("*.yaml")} - wanted.keys()
    differing = {path for path, text in wanted.items() if _read(root / PurePosixPath(path)) != text}
    return tuple(sorted(strays | differing))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _crd_text(resource: CustomResource) -> str:
    document = crd_document(resource)
    return _HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
