"""Whether devices that a plan chose still stand as they were: published, and without a taint that keeps them away.

Between a decision and its writes drivers publish pools anew and admins taint devices. A pool of which a newer
generation is only partly there says nothing about a device that is not in it yet.
"""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.devices.pools import PoolKey
from kai_sched.devices.taints import blocking_taint, matching_taints
from kai_sched.model.devices import Device, DeviceResult, DeviceTaintRule, ResourceSlice


class PublishedDevices:
    """Pools at their newest generation, and the admins' taints; looked up pool by pool."""

    __slots__ = ("_devices", "_rules", "_slices")

    def __init__(self, slices: Iterable[ResourceSlice], rules: Iterable[DeviceTaintRule]) -> None:
        self._rules = tuple(rules)
        self._slices: dict[PoolKey, list[ResourceSlice]] = {}
        for published in slices:
            self._slices.setdefault((published.driver, published.pool), []).append(published)
        self._devices: dict[PoolKey, tuple[dict[str, Device], bool]] = {}

    def problem(self, results: Iterable[DeviceResult]) -> str:
        """Why one of these devices may not be used any more; "" if all may."""
        return next((problem for result in results if (problem := self._problem_of(result))), "")

    def _problem_of(self, result: DeviceResult) -> str:
        devices, is_complete = self._pool((result.driver, result.pool))
        device = devices.get(result.device)
        if device is None:
            return f"device {result.device_id} is not published any more" if is_complete else ""
        rules = matching_taints(self._rules, result.driver, result.pool, result.device)
        taint = blocking_taint((*device.taints, *rules), result.tolerations)
        return "" if taint is None else f"device {result.device_id} has got taint {taint.key}:{taint.effect}"

    def _pool(self, key: PoolKey) -> tuple[dict[str, Device], bool]:
        known = self._devices.get(key)
        if known is None:
            slices = self._slices.get(key, [])
            newest = max((published.generation for published in slices), default=0)
            current = [published for published in slices if published.generation == newest]
            is_complete = not current or len(current) >= current[0].slice_count
            devices = {device.name: device for published in current for device in published.devices}
            known = self._devices[key] = (devices, is_complete)
        return known
