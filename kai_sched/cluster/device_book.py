"""Who holds which device, by the claims as last seen, and whether pods of other schedulers are about to take some.

The API server checks no device twice: two schedulers that look at the same moment may give the same one. Whoever shares
devices with another scheduler has to look once more after writing (``binder.look``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from kai_sched.model.devices import Claim, DeviceResult
from kai_sched.model.ids import ClaimKey, PodKey
from kai_sched.model.workloads import Pod, PodState

RIVALRY_SECONDS: Final = 5.0
"""So long after the last pod of another scheduler got its devices, its writes may still be news to us."""


class DeviceBook:
    """Kept by every event of a claim or pod. ``clock``: seconds of any origin."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._holders: dict[str, set[ClaimKey]] = {}
        self._held: dict[ClaimKey, tuple[str, ...]] = {}
        self._waiting: set[PodKey] = set()
        """Pods of other schedulers that have claims and no node yet."""
        self._rivalry_until = 0.0

    def claim_seen(self, key: ClaimKey, claim: Claim | None) -> None:
        """The claim as it is now; None: it is gone."""
        allocation = None if claim is None else claim.allocation
        devices = () if allocation is None else tuple(whole_devices(allocation.results))
        before = self._held.pop(key, ())
        if devices:
            self._held[key] = devices
        if devices == before:
            return
        for device in before:
            holders = self._holders[device]
            holders.discard(key)
            if not holders:
                del self._holders[device]
        for device in devices:
            self._holders.setdefault(device, set()).add(key)

    def pod_seen(self, key: PodKey, pod: Pod | None) -> None:
        """The pod as it is now; None: it is gone."""
        is_rival = pod is not None and pod.group is None and bool(pod.claims)
        if pod is not None and is_rival and pod.node is None and pod.state is PodState.PENDING:
            self._waiting.add(key)
        elif key in self._waiting:
            self._waiting.discard(key)
            self._rivalry_until = self._clock() + RIVALRY_SECONDS

    @property
    def others_take_devices(self) -> bool:
        """Whether another scheduler may be giving devices at this moment."""
        return bool(self._waiting) or self._clock() < self._rivalry_until

    def other_holder(self, claim: ClaimKey, results: Iterable[DeviceResult]) -> str:
        """Which device of these is another claim's too, and whose; empty if none is."""
        for device in whole_devices(results):
            others = self._holders.get(device, set()) - {claim}
            if others:
                return f"device {device} was given to claim {min(others)} too"
        return ""


def whole_devices(results: Iterable[DeviceResult]) -> Iterable[str]:
    """The devices that only one claim may hold: not those that are only looked at, nor parts of shared ones."""
    return (result.device_id for result in results if not result.admin_access and not result.share_id)
