"""Showing one namespace of what was decided for all."""

from __future__ import annotations

from typing import Any

_LISTS = ("binds", "pipelined", "evictions", "verdicts", "pods")


def of_namespace(document: dict[str, Any], namespace: str | None) -> dict[str, Any]:
    """A plan, or the end of a simulation, with only the rows about pods and pod groups of a namespace; None: all."""
    if namespace is None:
        return document
    begin = f"{namespace}/"
    kept = {
        name: [row for row in document[name] if str(row.get("pod") or row.get("podGroup")).startswith(begin)]
        for name in _LISTS
        if name in document
    }
    return {**document, **kept}
