"""Backing: extended resources that some nodes serve by DRA instead of a device plugin (KEP-5004).

On such a node the counted amount says nothing: it is opened without limit, and the claim that the scheduler would
make there says how many pods fit. Both kinds of node stand side by side under one resource name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.closures import OPEN
from kai_sched.devices.counting import PlainNeed, matching_free, plain_requirement
from kai_sched.devices.extended import backing_classes, claim_of_creation, claim_to_create
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.state import DeviceState
from kai_sched.model.devices import Claim, ClaimSpec, DeviceRequest
from kai_sched.model.plan import ClaimCreation
from kai_sched.model.workloads import Pod, PodSpec
from kai_sched.placement.node_table import NodeTable

UNLIMITED: Final = np.int64(1) << 40


@dataclass(frozen=True, slots=True)
class SpecialClaim:
    """The claim that is made for a pod on one node."""

    claim: Claim
    creation: ClaimCreation


@dataclass(slots=True)
class Backing:
    """``columns``: resource -> axis column, of the resources that a device class stands for."""

    index: DeviceIndex
    table: NodeTable
    class_of: Mapping[str, str]
    columns: Mapping[str, int]
    _needs: dict[tuple[str, int], PlainNeed | None] = field(default_factory=dict)
    _creations: dict[tuple[int, tuple[str, ...]], tuple[PodSpec, ClaimCreation]] = field(default_factory=dict)

    @classmethod
    def of(cls, index: DeviceIndex, table: NodeTable, pods: Sequence[Pod]) -> Backing:
        """Of the resources that these pods ask for; empty where no device could serve them."""
        class_of = backing_classes(index.classes.values()) if index.devices else {}
        specs = {id(pod.spec): pod.spec for pod in pods if pod.spec.extended}
        asked = {request.resource for spec in specs.values() for request in spec.extended}
        columns = {name: table.position_of[name] for name in sorted(asked & class_of.keys())}
        return cls(index, table, class_of, columns)

    def open(self, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """The free amounts with those that no device plugin counts opened; changes ``free``."""
        for column in self.columns.values():
            free[self.table.allocatable[:, column] == 0, column] = UNLIMITED
        return free

    def opened(self, node: int) -> list[int]:
        """Columns of the amounts that are opened on a node."""
        return [column for column in self.columns.values() if not self.table.allocatable[node, column]]

    def resources_of(self, spec: PodSpec) -> tuple[str, ...]:
        """The resources of a pod that a device class stands for."""
        if not self.columns:
            return ()
        return tuple(sorted({one.resource for one in spec.extended if one.resource in self.columns}))

    def asked(self, spec: PodSpec, resources: Sequence[str]) -> list[tuple[str, int]]:
        """The device classes that stand for these resources, with the amounts that a pod asks for."""
        amounts = dict(spec.requests)
        return [(self.class_of[name], amounts[name]) for name in resources]

    def is_counted(self, resources: Sequence[str], closure: int = OPEN) -> bool:
        """Whether counting devices is exact for all of them."""
        return all(self._need(name, closure) is not None for name in resources)

    def served_on(self, resources: Sequence[str], node: int) -> tuple[str, ...]:
        """Those of the resources that this node serves by DRA."""
        return tuple(name for name in resources if not self.table.allocatable[node, self.columns[name]])

    def special_claim(self, pod: Pod, resources: Sequence[str], node: int) -> SpecialClaim | None:
        """What would be made for the pod on this node; None where device plugins serve all that it asks."""
        served = self.served_on(resources, node)
        if not served:
            return None
        key = (id(pod.spec), served)
        known = self._creations.get(key)
        if known is None:
            known = (pod.spec, claim_to_create(pod.spec.extended, self.class_of, served))
            self._creations[key] = known
        return SpecialClaim(claim_of_creation(pod, known[1]), known[1])

    def limit(
        self,
        spec: PodSpec,
        resources: Sequence[str],
        nodes: NDArray[np.intp],
        devices: DeviceState,
        slots: NDArray[np.int64],
        closure: int = OPEN,
    ) -> None:
        """Lower ``slots`` where devices decide: exactly where they are counted, else to one look at a time."""
        amounts = dict(spec.requests)
        for name in resources:
            is_backed = self.table.allocatable[nodes, self.columns[name]] == 0
            need = self._need(name, closure)
            if need is None:
                np.minimum(slots, np.where(is_backed, 1, slots), out=slots)
                continue
            free = matching_free(self.index, devices, need, nodes)
            np.minimum(slots, np.where(is_backed, free // max(1, amounts[name]), slots), out=slots)

    def free_devices(
        self, resource: str, nodes: NDArray[np.intp], devices: DeviceState, closure: int = OPEN
    ) -> NDArray[np.int64] | None:
        """Free devices by node where counting tells; zero on nodes with a device plugin."""
        need = self._need(resource, closure)
        if need is None:
            return None
        is_backed = self.table.allocatable[nodes, self.columns[resource]] == 0
        return np.where(is_backed, matching_free(self.index, devices, need, nodes), 0)

    def _need(self, resource: str, closure: int) -> PlainNeed | None:
        """One device for the resource, if counting decides; else None."""
        key = (resource, closure)
        if key not in self._needs:
            request = DeviceRequest(name="one", device_class=self.class_of[resource])
            self._needs[key] = plain_requirement(self.index, ClaimSpec(requests=(request,)), closure)
        return self._needs[key]
