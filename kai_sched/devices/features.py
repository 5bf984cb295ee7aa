"""Which parts of the API the allocator honours. All on; the conformance table switches them off one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatorFeatures:
    """The reference's feature switches, by their names."""

    admin_access: bool = True
    prioritized_list: bool = True
    partitionable_devices: bool = True
    device_taints: bool = True
    binding_conditions: bool = True
    consumable_capacity: bool = True
    fractional_capacity_range: bool = True
    list_type_attributes: bool = True
    compatibility_groups: bool = True


ALL_FEATURES: Final = AllocatorFeatures()
