"""Namespaces: their labels decide which pods an affinity term sees and who may ask for admin access to devices."""

from __future__ import annotations

from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import name_in, readable, section, string_map
from kai_sched.model.snapshot import Unreadable

NAME_LABEL: Final = "kubernetes.io/metadata.name"


def translate_namespace(raw: Raw) -> tuple[str, dict[str, str]] | Unreadable:
    """(name, labels); the label with the name is there even where a file left it out."""
    return readable("Namespace", _namespace, raw)


def _namespace(raw: Raw) -> tuple[str, dict[str, str]]:
    metadata = section(raw, "metadata")
    name = name_in(metadata, "name", "metadata")
    return name, {NAME_LABEL: name, **dict(string_map(metadata, "labels", "metadata"))}
