"""FleetIndex: what is derived from a fleet alone, kept while the fleet stays."""

from __future__ import annotations

from dataclasses import dataclass, field

from kai_sched.devices.allocator import DeviceIndex
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import Fleet
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.site.custody import Custody
from kai_sched.topology.devices import DevicePreference
from kai_sched.topology.domains import DomainIndex


@dataclass(frozen=True, slots=True)
class FleetIndex:
    """What is derived from a fleet alone; kept between cycles under ``Fleet.version`` and the axis."""

    fleet: Fleet
    table: NodeTable
    domains: DomainIndex
    devices: DeviceIndex
    _preferences: dict[tuple[str, ...], DevicePreference] = field(default_factory=dict)
    _custodies: dict[object, Custody] = field(default_factory=dict)

    def device_preference(self, island_attributes: tuple[str, ...]) -> DevicePreference:
        """How to choose among the devices of a node; what it learns of them is kept."""
        known = self._preferences.get(island_attributes)
        if known is None:
            known = self._preferences[island_attributes] = DevicePreference(island_attributes)
        return known

    def custody(self, policy: Policy) -> Custody:
        """What confidential GPUs mean for claims; what it learns of the fleet is kept."""
        key = (policy.confidential, policy.fabric_drivers)
        known = self._custodies.get(key)
        if known is None:
            known = self._custodies[key] = Custody(self.devices, self.table, policy)
        return known


class FleetCache:
    """The last fleet index; a new one is built when version or axis changes."""

    def __init__(self) -> None:
        self._last: FleetIndex | None = None

    def index_of(self, fleet: Fleet, resource_names: tuple[str, ...]) -> FleetIndex:
        last = self._last
        if last is not None and _is_same(last.fleet, fleet) and set(resource_names) <= set(last.table.axis):
            return last
        table = NodeTable.build(fleet, resource_names)
        self._last = FleetIndex(
            fleet=fleet,
            table=table,
            domains=DomainIndex.build(fleet),
            devices=DeviceIndex.of(fleet),
        )
        return self._last


def _is_same(known: Fleet, fleet: Fleet) -> bool:
    return known is fleet or (fleet.version != 0 and known.version == fleet.version)
