"""Violation: one way in which a plan breaks a promise, with the object it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ViolationKind(StrEnum):
    """What kind of promise is broken."""

    POD = "pod"
    """The pod is unknown, not pending, placed twice, or of a group that must not be placed."""
    NODE_RESOURCES = "node-resources"
    GPU_INDEX = "gpu-index"
    GPU_SHARE = "gpu-share"
    GANG = "gang"
    TOPOLOGY = "topology"
    STATIC_RULE = "static-rule"
    DYNAMIC_RULE = "dynamic-rule"
    CLAIM = "claim"
    """A claim is missing, allocated twice, not what it asks for, or full."""
    DEVICE = "device"
    """A device is unknown, unreachable from the node, or given to two."""
    DEVICE_CAPACITY = "device-capacity"
    DEVICE_COUNTER = "device-counter"
    EVICTION = "eviction"
    VERDICT = "verdict"
    QUEUE_LIMIT = "queue-limit"
    NON_PREEMPTIBLE_OVER_QUOTA = "non-preemptible-over-quota"
    QUEUE_ACCESS = "queue-access"
    """A pod's namespace may not use its queue."""


@dataclass(frozen=True, slots=True)
class Violation:
    """``subject``: the node, pod, group, claim, device or queue that is wronged."""

    kind: ViolationKind
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}: {self.message}"
