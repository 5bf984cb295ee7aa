"""Names and keys as types of their own, so that a queue name never passes for a node name."""

from __future__ import annotations

from typing import NewType

NodeName = NewType("NodeName", str)
QueueName = NewType("QueueName", str)
TopologyName = NewType("TopologyName", str)

PodKey = NewType("PodKey", str)
"""``namespace/name`` of a pod."""
PodGroupKey = NewType("PodGroupKey", str)
"""``namespace/name`` of a pod group; for a bare pod the pod's own key."""
ClaimKey = NewType("ClaimKey", str)
"""``namespace/name`` of a ResourceClaim."""
Uid = NewType("Uid", str)
"""``metadata.uid`` of any object."""
DeviceId = NewType("DeviceId", str)
"""``driver/pool/device``."""


def key_of(namespace: str, name: str) -> str:
    """``namespace/name``; wrap the result in the NewType that is meant."""
    return f"{namespace}/{name}"
