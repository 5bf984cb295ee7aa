"""Whether devices that a plan chose still stand as they were: published, and without a taint that keeps them away.

Between a decision and its writes drivers publish pools anew and admins taint devices. A pool of which a newer
generation is only partly there says nothing about a device that is not in it yet. As for the allocator, the newest
generation is the newest that reaches the node: slices of other nodes may be ahead.
"""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.devices.pools import PoolKey
from kai_sched.devices.taints import blocking_taint, matching_taints
from kai_sched.model.devices import Device, DeviceResult, DeviceTaintRule, ResourceSlice
from kai_sched.model.ids import NodeName


class PublishedDevices:
    """Pools at their newest generation, and the admins' taints; looked up pool by pool."""

    __slots__ = ("_devices", "_rules", "_slices")

    def __init__(self, slices: Iterable[ResourceSlice], rules: Iterable[DeviceTaintRule]) -> None:
        self._rules = tuple(rules)
        self._slices: dict[PoolKey, list[ResourceSlice]] = {}
        for published in slices:
            self._slices.setdefault((published.driver, published.pool), []).append(published)
        self._devices: dict[tuple[PoolKey, NodeName], tuple[dict[str, Device], bool]] = {}

    def problem(self, node: NodeName, results: Iterable[DeviceResult]) -> str:
        """Why one of these devices may not be used on that node any more; "" if all may."""
        return next((problem for result in results if (problem := self._problem_of(node, result))), "")

    def _problem_of(self, node: NodeName, result: DeviceResult) -> str:
        devices, is_complete = self._pool((result.driver, result.pool), node)
        device = devices.get(result.device)
        if device is None:
            return f"device {result.device_id} is not published any more" if is_complete else ""
        rules = matching_taints(self._rules, result.driver, result.pool, result.device)
        taint = blocking_taint((*device.taints, *rules), result.tolerations)
        return "" if taint is None else f"device {result.device_id} has got taint {taint.key}:{taint.effect}"

    def _pool(self, key: PoolKey, node: NodeName) -> tuple[dict[str, Device], bool]:
        known = self._devices.get((key, node))
        if known is None:
            slices = self._slices.get(key, [])
            here = [one for one in slices if one.node_name in {None, node}]
            newest = max((one.generation for one in here), default=0)
            current = [one for one in here if one.generation == newest]
            count = sum(one.generation == newest for one in slices)
            is_complete = not current or count >= current[0].slice_count
            devices = {device.name: device for one in current for device in one.devices}
            known = self._devices[(key, node)] = (devices, is_complete)
        return known
