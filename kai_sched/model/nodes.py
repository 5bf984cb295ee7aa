"""Nodes as the core sees them."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.ids import NodeName
from kai_sched.model.resources import Amounts
from kai_sched.model.selectors import Taint


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node. ``allocatable`` in the units of ``model.resources`` (device-plugin GPUs under their own names)."""

    name: NodeName
    labels: tuple[tuple[str, str], ...] = ()
    allocatable: Amounts = ()
    taints: tuple[Taint, ...] = ()
    is_cordoned: bool = False
    is_ready: bool = True
    gpu_memory_mib: int = 0
    """Of one GPU, by the policy's label: turns gpu-memory requests into fractions."""
    attachable: tuple[tuple[str, int], ...] = ()
    """CSI driver -> volume limit of CSINode; absent: no limit."""
    missing_drivers: tuple[str, ...] = ()
    """CSI drivers that it does not have and that must be there before a pod comes with one of their volumes."""
    images: tuple[str, ...] = ()

    def label(self, key: str) -> str | None:
        """The value of a label, None if absent."""
        for name, value in self.labels:
            if name == key:
                return value
        return None
