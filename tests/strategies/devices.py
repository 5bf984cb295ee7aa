"""Devices and claims: on nodes, for a rack, for all nodes; claims of a pod's own and shared ones, some held already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from kai_sched.model.devices import (
    Claim,
    ClaimAllocation,
    ClaimSpec,
    Consumer,
    CounterConsumption,
    CounterSet,
    Device,
    DeviceCapacity,
    DeviceClass,
    DeviceConstraint,
    DeviceRequest,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement, Taint
from kai_sched.model.workloads import HOLDS_ROOM, Pod, PodClaimRef

OLD, NEW = 1, 2
DRIVER, NET = "gpu.example.com", "net.example.com"
CLASSES = (
    DeviceClass(name="gpu", selectors=(f'device.driver == "{DRIVER}"',)),
    DeviceClass(name="net", selectors=(f'device.driver == "{NET}"',)),
)
_BIG = f'device.attributes["{DRIVER}"].model == "big"'
_SMALL = f'device.attributes["{DRIVER}"].model == "small"'


@st.composite
def node_slices(draw: st.DrawFn, node: str) -> tuple[ResourceSlice, ...]:
    """A pool of one node: one model of device, in islands of two; perhaps two devices share a counter."""
    model = draw(st.sampled_from(["big", "small"]))
    has_counters = draw(st.integers(0, 3)) == 0
    devices = tuple(
        Device(
            name=f"d{number}",
            attributes=(("model", ("string", model)), (f"{DRIVER}/island", ("int", number // 2))),
            consumes_counters=(CounterConsumption(f"c{number // 2}", (("slices", 1),)),)
            if has_counters
            else (),
            taints=(Taint("sick", "", "NoSchedule"),) if draw(st.integers(0, 9)) == 0 else (),
        )
        for number in range(draw(st.integers(1, 4)))
    )
    place = {"driver": DRIVER, "pool": node, "generation": 1, "node_name": NodeName(node)}
    if not has_counters:
        return (ResourceSlice(name=f"gpu-{node}", slice_count=1, devices=devices, **place),)
    counters = tuple(CounterSet(f"c{number}", (("slices", 1),)) for number in range(2))
    return (
        ResourceSlice(name=f"gpu-{node}", slice_count=2, devices=devices, **place),
        ResourceSlice(name=f"gpu-{node}-counters", slice_count=2, shared_counters=counters, **place),
    )


@st.composite
def network_slices(draw: st.DrawFn) -> tuple[ResourceSlice, ...]:
    """Pools that many nodes reach; of some an older generation is published still, for the same nodes or for others."""
    found = []
    for name in draw(st.sampled_from([(), ("all",), ("all", "r0"), ("r0", "r1")])):
        is_shared = draw(st.integers(0, 3)) == 0
        devices = tuple(
            Device(
                name=f"d{number}",
                allow_multiple_allocations=is_shared,
                capacity=(("bandwidth", DeviceCapacity(10, text="10")),) if is_shared else (),
            )
            for number in range(draw(st.integers(1, 3)))
        )
        found.append(
            ResourceSlice(
                name=f"net-{name}",
                driver=NET,
                pool=name,
                generation=NEW,
                slice_count=1,
                devices=devices,
                **_reach(name),
            )
        )
        if draw(st.integers(0, 3)) == 0:
            # A node goes by the newest generation among the slices that reach it.
            older = tuple(Device(name=f"o{number}") for number in range(draw(st.integers(1, 3))))
            found.append(
                ResourceSlice(
                    name=f"net-{name}-old",
                    driver=NET,
                    pool=name,
                    generation=OLD,
                    slice_count=1,
                    devices=older,
                    **_reach(draw(st.sampled_from(["all", "r0", "r1"]))),
                )
            )
    return tuple(found)


def _reach(name: str) -> dict[str, Any]:
    """Every node, or those of one rack."""
    return {
        "all_nodes": name == "all",
        "node_selector": None if name == "all" else _nodes_with("rack", name),
    }


def _nodes_with(label: str, value: str) -> NodeSelector:
    return NodeSelector((NodeSelectorTerm((Requirement(label, Operator.IN, (value,)),)),))


def _only(node: str) -> NodeSelector:
    on_name = Requirement("metadata.name", Operator.IN, (node,))
    return NodeSelector((NodeSelectorTerm((), (on_name,)),))


@st.composite
def requests(draw: st.DrawFn, name: str) -> DeviceRequest:
    """One of the ways to ask."""
    count = draw(st.sampled_from([1, 1, 1, 2]))
    match draw(st.integers(0, 5)):
        case 0:
            return DeviceRequest(
                name=name,
                first_available=(
                    DeviceRequest(name="first", device_class="gpu", selectors=(_BIG,), count=count),
                    DeviceRequest(name="second", device_class="gpu", selectors=(_SMALL,)),
                ),
            )
        case 1:
            return DeviceRequest(
                name=name,
                first_available=(
                    DeviceRequest(name="near", device_class="gpu"),
                    DeviceRequest(name="far", device_class="net"),
                ),
            )
        case 2 | 3:
            return DeviceRequest(name=name, device_class="net", count=count)
        case _:
            return DeviceRequest(name=name, device_class="gpu", count=count)


@st.composite
def claim_specs(draw: st.DrawFn) -> ClaimSpec:
    found = tuple(draw(requests(f"r{number}")) for number in range(draw(st.sampled_from([1, 1, 1, 2]))))
    constraint = DeviceConstraint(match_attribute=f"{DRIVER}/island")
    return ClaimSpec(requests=found, constraints=(constraint,) if draw(st.integers(0, 5)) == 0 else ())


@dataclass
class Equipped:
    """What a cluster has beyond its nodes, pods and groups."""

    pods: list[Pod]
    slices: tuple[ResourceSlice, ...] = ()
    claims: dict[ClaimKey, Claim] = field(default_factory=dict)


@st.composite
def equipped(draw: st.DrawFn, nodes: Sequence[Node], gangs: Sequence[Sequence[Pod]]) -> Equipped:
    """The pods of these gangs, some with claims; in two of five clusters nothing has any devices."""
    if draw(st.integers(0, 4)) < 2:
        return Equipped([pod for pods in gangs for pod in pods])
    slices = [part for node in nodes if draw(st.integers(0, 3)) for part in draw(node_slices(node.name))]
    slices += draw(network_slices())
    found = Equipped([], tuple(sorted(slices, key=lambda one: one.name)))
    free = [
        (part, device) for part in found.slices if not part.name.endswith("-old") for device in part.devices
    ]
    templates = [draw(claim_specs()) for _ in range(2)]
    for number, pods in enumerate(gangs):
        own = draw(st.sampled_from([*templates, None]))
        shared = draw(st.sampled_from([None, None, *templates]))
        for pod in pods:
            wanted = []
            if own is not None:
                wanted.append((f"own-{pod.key.split('/')[1]}", own))
            if shared is not None and draw(st.booleans()):
                wanted.append((f"shared-{number}", shared))
            found.pods.append(_claiming(found, pod, wanted, free))
    return found


def _claiming(
    found: Equipped,
    pod: Pod,
    wanted: Sequence[tuple[str, ClaimSpec]],
    free: list[tuple[ResourceSlice, Device]],
) -> Pod:
    """The pod with references to its claims; one that holds room keeps only those that can be held on its node."""
    refs: list[PodClaimRef] = []
    for name, spec in wanted:
        key = ClaimKey(f"team/{name}")
        is_own = name.startswith("own-")
        owner = pod.uid if is_own else ""
        claim = found.claims.get(key) or Claim(key=key, uid=Uid(f"uid-{name}"), spec=spec, owner_uid=owner)
        if pod.state in HOLDS_ROOM and pod.node is not None:
            allocation = claim.allocation or _taken(spec, pod.node, free)
            if allocation is None or allocation.node_selector not in (None, _only(pod.node)):
                continue
            consumer = Consumer("pods", pod.key.split("/")[1], pod.uid)
            claim = replace(claim, allocation=allocation, reserved_for=(*claim.reserved_for, consumer))
        found.claims[key] = claim
        refs.append(PodClaimRef(name, key, is_own=is_own))
    return replace(pod, claims=tuple(refs))


def _taken(spec: ClaimSpec, node: str, free: list[tuple[ResourceSlice, Device]]) -> ClaimAllocation | None:
    """An allocation of the first free device that a claim of one device can have on a node."""
    request = spec.requests[0]
    if len(spec.requests) > 1 or request.count > 1:
        return None
    choices = request.first_available or (request,)
    for part, device in free:
        is_near = part.driver == DRIVER and part.node_name == node
        for choice in choices:
            fits = is_near if choice.device_class == "gpu" else part.driver == NET and part.all_nodes
            fits = fits and choice.count == 1 and not device.allow_multiple_allocations
            if not fits or device.consumes_counters or device.taints or choice.selectors:
                continue
            free.remove((part, device))
            name = f"{request.name}/{choice.name}" if request.first_available else request.name
            result = DeviceResult(request=name, driver=part.driver, pool=part.pool, device=device.name)
            return ClaimAllocation(results=(result,), node_selector=_only(node) if is_near else None)
    return None
