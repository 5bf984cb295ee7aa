"""Whether devices that a plan chose still stand as they were: published, and without a taint that keeps them away.

Between a decision and its writes drivers publish pools anew and admins taint devices. A pool of which a newer
generation is only partly there says nothing about a device that is not in it yet. What a node goes by is what the
allocator goes by (``generations``).
"""

from __future__ import annotations

from collections.abc import Iterable

from kai_sched.devices.generations import (
    Completeness,
    PoolKey,
    Sight,
    WholePool,
    newest_that_reach,
    sight_of,
)
from kai_sched.devices.pools import PooledSlice
from kai_sched.devices.taints import blocking_taint, matching_taints
from kai_sched.model.devices import DeviceResult, DeviceTaintRule, ResourceSlice
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import Taint

_Seen = tuple[dict[str, tuple[Taint, ...]], bool]
"""(taints of each device that the driver put on it, whether the pool is complete)."""


class PublishedDevices:
    """Pools as their nodes see them, and the admins' taints; looked up pool by pool."""

    __slots__ = ("_pools", "_rules", "_seen")

    def __init__(self, slices: Iterable[ResourceSlice], rules: Iterable[DeviceTaintRule]) -> None:
        self._rules = tuple(rules)
        self._pools: dict[PoolKey, WholePool[PooledSlice]] = {}
        for published in slices:
            part = PooledSlice(published, ())
            self._pools.setdefault(part.key, WholePool()).add(part)
        self._seen: dict[object, _Seen] = {}

    def problem(self, node: Node, results: Iterable[DeviceResult]) -> str:
        """Why one of these devices may not be used on that node any more; "" if all may."""
        return next((problem for result in results if (problem := self._problem_of(node, result))), "")

    def _problem_of(self, node: Node, result: DeviceResult) -> str:
        devices, is_complete = self._pool((result.driver, result.pool), node)
        if result.device not in devices:
            return f"device {result.device_id} is not published any more" if is_complete else ""
        rules = matching_taints(self._rules, result.driver, result.pool, result.device)
        taint = blocking_taint((*devices[result.device], *rules), result.tolerations)
        return "" if taint is None else f"device {result.device_id} has got taint {taint.key}:{taint.effect}"

    def _pool(self, key: PoolKey, node: Node) -> _Seen:
        question = (key, node.name, node.labels)
        known = self._seen.get(question)
        if known is None:
            sight = self._sight(key, node)
            devices = {
                device.name: device.taints
                for part in (sight.here if sight is not None else ())
                for device in part.published.devices
            }
            is_complete = sight is None or sight.completeness is Completeness.COMPLETE
            known = self._seen[question] = (devices, is_complete)
        return known

    def _sight(self, key: PoolKey, node: Node) -> Sight[PooledSlice] | None:
        whole = self._pools.get(key)
        here = None if whole is None else newest_that_reach(node, whole.parts).get(key)
        return None if whole is None or not here else sight_of(here, whole)
