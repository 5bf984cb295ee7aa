"""Taints of devices, from slices and from admins' rules, and what tolerates them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kai_sched.model.devices import DeviceTaintRule
from kai_sched.model.selectors import Taint, Toleration

_BLOCKING: Final = frozenset({"NoSchedule", "NoExecute"})


def matching_taints(
    rules: Iterable[DeviceTaintRule], driver: str, pool: str, device: str
) -> tuple[Taint, ...]:
    """The taints that rules put on a device."""
    return tuple(
        rule.taint
        for rule in rules
        if rule.driver in {None, driver} and rule.pool in {None, pool} and rule.device in {None, device}
    )


def blocking_taint(taints: tuple[Taint, ...], tolerations: tuple[Toleration, ...]) -> Taint | None:
    """The first taint that keeps a request off the device; unknown effects are like None."""
    for taint in taints:
        if taint.effect in _BLOCKING and not any(tolerates(entry, taint) for entry in tolerations):
            return taint
    return None


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Kubernetes' rule; an unknown operator tolerates nothing."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator in {"", "Equal"}:
        return toleration.value == taint.value
    return toleration.operator == "Exists"
