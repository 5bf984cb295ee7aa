"""Plain claims on one node: the first free devices in order, or the set that lies best, without a search.

Equal to what the search would find: its first descent takes exactly these devices, and where counting says that they
do not suffice no order of trying helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kai_sched.devices.attempt import Taken
from kai_sched.devices.choice import DevicePreference
from kai_sched.devices.closures import OPEN
from kai_sched.devices.counting import PlainNeed, Supply, plain_requirement, supply_of
from kai_sched.devices.features import ALL_FEATURES
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.memory import Kept
from kai_sched.devices.pools import PooledDevice
from kai_sched.devices.requests import PreparedClaim, PreparedRequest
from kai_sched.devices.state import DeviceState
from kai_sched.model.devices import Claim, ClaimSpec
from kai_sched.model.nodes import Node

_MOST_SPECS: Final = 4096
"""Kept for one fleet; more of them are forgotten all at once."""

Granted = tuple[PreparedClaim, list[PreparedRequest], list[Taken]]


@dataclass(frozen=True, slots=True, eq=False)
class _PlainSpec:
    """A claim spec that counting decides; ``request`` stands for it in results."""

    need: PlainNeed
    supply: Supply
    request: PreparedRequest


def grant_plain(
    index: DeviceIndex,
    state: DeviceState,
    node: Node,
    claims: Sequence[Claim],
    preference: DevicePreference | None,
    closure: int = OPEN,
) -> list[Granted] | bool:
    """What each claim gets; False: they do not fit on this node; True: they must be searched for."""
    if node.name not in index.node_names or index.features != ALL_FEATURES:
        return True
    specs = [_plain_spec(index, claim, closure) for claim in claims]
    plain = [spec for spec in specs if spec is not None]
    if len(plain) != len(specs):
        return True
    taken: set[int] = set()
    granted: list[Granted] = []
    for claim, spec in zip(claims, plain, strict=True):
        free = _free(spec.supply, state, node, taken)
        count = spec.need.count
        if len(free) < count:
            # Claims of different kinds may have to trade devices, which is the search's work.
            return any(other.need.key != spec.need.key for other in plain)
        chosen = free[:count] if preference is None else _best(free, count, preference)
        taken.update(entry.ordinal for entry in chosen)
        results = [Taken(entry, spec.request, None) for entry in chosen]
        granted.append((PreparedClaim(claim, ((spec.request,),), ()), [spec.request], results))
    return granted


class _PlainSpecs(Kept[tuple[int, int], tuple[ClaimSpec, _PlainSpec | None]]):
    """What is known of claim specs by their identity and the pod's closure. They are kept, so that ids stay theirs."""

    def __init__(self) -> None:
        super().__init__(_MOST_SPECS)


def _plain_spec(index: DeviceIndex, claim: Claim, closure: int) -> _PlainSpec | None:
    # By identity: specs are interned, and hashing one is deep work.
    specs = index.memory.part(_PlainSpecs)
    known = specs.get((id(claim.spec), closure))
    if known is None or known[0] is not claim.spec:
        known = specs.keep((id(claim.spec), closure), (claim.spec, _described(index, claim, closure)))
    return known[1]


def _described(index: DeviceIndex, claim: Claim, closure: int) -> _PlainSpec | None:
    need = plain_requirement(index, claim.spec, closure)
    supply = None if need is None else supply_of(index, need.key)
    if need is None or supply is None:
        return None
    request = claim.spec.requests[0]
    return _PlainSpec(
        need,
        supply,
        PreparedRequest(
            name=request.name,
            request=request,
            device_class=index.classes[request.device_class],
            selector_key=(request.device_class, request.selectors, closure),
            positions=(),
            all_devices=None,
            count=request.count,
            is_admin=False,
        ),
    )


def _free(supply: Supply, state: DeviceState, node: Node, taken: set[int]) -> list[PooledDevice]:
    free: list[PooledDevice] = []
    for entry in supply.in_order.get(node.name, ()):
        use = state.use_of(entry.pool_key)
        if entry.name not in use.dedicated and entry.name not in use.shared and entry.ordinal not in taken:
            free.append(entry)
    return free


def _best(free: list[PooledDevice], count: int, preference: DevicePreference) -> list[PooledDevice]:
    if len(free) == count:
        return free
    positions = preference.best([(entry.driver, entry.device) for entry in free], count)
    return [free[position] for position in positions]
