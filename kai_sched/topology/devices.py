"""Which devices of a node belong together: fewest NVLink islands, then NUMA nodes, then PCIe roots.

Of equal sets the one that breaks up least of what bigger requests need later: islands are used up before fresh ones
are opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kai_sched.model.devices import Device
from kai_sched.model.policy import Policy

Located = tuple[str, Device]
"""(driver, device)."""
NUMA_NODE = "resource.kubernetes.io/numaNode"
PCIE_ROOT = "resource.kubernetes.io/pcieRoot"


@dataclass(frozen=True, slots=True)
class DeviceOrder:
    """A preference over sets of devices; called with the chosen ones and those left free on the node."""

    island_attributes: tuple[str, ...]

    @staticmethod
    def of(policy: Policy) -> DeviceOrder:
        """The preference of a policy."""
        return DeviceOrder(policy.island_attributes)

    def __call__(self, chosen: Sequence[Located], free: Sequence[Located]) -> tuple[float, ...]:
        """(islands, NUMA nodes, PCIe roots touched, devices left in the touched islands); less is better."""
        islands = {self._island(entry) for entry in chosen}
        left = Counter(self._island(entry) for entry in free)
        return (
            float(len(islands)),
            float(len({_value(entry, NUMA_NODE) for entry in chosen})),
            float(len({_value(entry, PCIE_ROOT) for entry in chosen})),
            float(sum(left[island] for island in islands)),
        )

    def _island(self, entry: Located) -> object:
        """The first island attribute that the device has; devices without one are one island."""
        for name in self.island_attributes:
            value = _value(entry, name)
            if value is not None:
                return (name, value)
        return None


def _value(entry: Located, name: str) -> object:
    driver, device = entry
    domain, _, identifier = name.rpartition("/")
    for key, value in device.attributes:
        if key == name or (domain == driver and key == identifier):
            return value
    return None
