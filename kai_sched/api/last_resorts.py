"""What objects that cannot be read take all the same: devices of claims, and room on nodes.

Leaving such an object out whole would give to others what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kai_sched.api.kinds import Raw
from kai_sched.model.devices import Claim, ClaimAllocation, ClaimSpec, Consumer, DeviceResult
from kai_sched.model.ids import ClaimKey, NodeName, Uid, key_of
from kai_sched.model.nodes import Node

_ENDED = ("Succeeded", "Failed")


def what_a_claim_holds(raw: Raw) -> Claim | None:
    """The devices of a claim that cannot be read as a whole; None where it has no results that can be read."""
    allocation = _mapping(_mapping(raw.get("status")).get("allocation"))
    results = _mapping(allocation.get("devices")).get("results")
    if not isinstance(results, list):
        return None
    metadata = _mapping(raw.get("metadata"))
    held = tuple(
        DeviceResult(
            request="", driver=str(item["driver"]), pool=str(item["pool"]), device=str(item["device"])
        )
        for item in results
        if isinstance(item, dict) and {"driver", "pool", "device"} <= item.keys()
    )
    return Claim(
        key=ClaimKey(key_of(str(metadata.get("namespace")), str(metadata.get("name")))),
        uid=Uid(str(metadata.get("uid"))),
        spec=ClaimSpec(),
        allocation=ClaimAllocation(results=held),
        reserved_for=(Consumer("unknown", "unreadable", ""),),
        resource_version=str(metadata.get("resourceVersion")),
    )


def node_taken(raw: Raw) -> NodeName | None:
    """Where a pod that cannot be read runs: nobody can say what room is left there."""
    node = _mapping(raw.get("spec")).get("nodeName")
    has_ended = _mapping(raw.get("status")).get("phase") in _ENDED
    return NodeName(node) if isinstance(node, str) and node and not has_ended else None


def closed(node: Node) -> Node:
    """The node, taking nothing more."""
    return replace(node, is_ready=False)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
