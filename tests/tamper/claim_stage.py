"""Worlds with claims, and ways to tamper with what a plan gives in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from kai_sched.model.devices import (
    ClaimAllocation,
    Consumer,
    DeviceResult,
    ResourceSlice,
)
from kai_sched.model.plan import ClaimPlacement, Plan
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement
from kai_sched.model.snapshot import ClusterSnapshot
from tests.tamper.row import Tamper, claim_of, world_with
from tests.unit.devices.dra import (
    DRIVER,
    Document,
    a_claim_document,
    a_class,
    a_device,
    a_listed_request,
    a_request,
    a_slice,
    a_user,
    counters,
    decide,
    held_by_another,
)

LARGE: Final = f'device.attributes["{DRIVER}"].model == "large"'
OF_DRIVER: Final = f'device.driver == "{DRIVER}"'


def world(*documents: Document, nodes: int = 1) -> Callable[[], ClusterSnapshot]:
    """A world of documents."""
    return lambda: decide(*documents, nodes=nodes).snapshot


def of(model: str, **attributes: Any) -> Document:
    return {"attributes": {"model": model, **attributes}}


CONFIGURED: Final = [
    {"opaque": {"driver": DRIVER, "parameters": {"kind": "Settings"}}, "requests": ["gpu"]},
]
one_device: Final = world(
    a_slice(
        a_device("d0", **of("large")),
        a_device("d1", **of("large")),
        a_device("small", **of("small")),
        a_device("part", **of("large"), allowMultipleAllocations=True),
    ),
    a_slice(a_device("far", **of("large")), pool="n2", nodeName="n2"),
    a_class("gpu", OF_DRIVER),
    a_claim_document(a_request("gpu", LARGE), config=CONFIGURED),
    a_user("p", "claim"),
    nodes=1,
)
two_claims: Final = world(
    a_slice(a_device("d0"), a_device("d1")),
    a_claim_document(name="c0"),
    a_claim_document(name="c1"),
    a_user("p0", "c0"),
    a_user("p1", "c1"),
)
alternatives: Final = world(
    a_slice(a_device("d0"), a_device("d1")),
    a_claim_document(a_listed_request("gpu", a_request("two", count=2), a_request("one"))),
    a_user("p", "claim"),
)
everything: Final = world(
    a_slice(a_device("d0"), a_device("d1")),
    a_claim_document(a_request(allocationMode="All")),
    a_user("p", "claim"),
)
paired: Final = world(
    a_slice(
        a_device("d0", attributes={"island": "a", "slot": 0}),
        a_device("d1", attributes={"island": "a", "slot": 1}),
        a_device("d2", attributes={"island": "b", "slot": 1}),
    ),
    a_claim_document(
        a_request(count=2),
        constraints=[
            {"requests": ["gpu"], "matchAttribute": f"{DRIVER}/island"},
            {"requests": ["gpu"], "distinctAttribute": f"{DRIVER}/slot"},
        ],
    ),
    a_user("p", "claim"),
)
allocated: Final = world(
    a_slice(a_device("d0"), a_device("d1")),
    a_claim_document(status=held_by_another("d0")),
    a_user("p", "claim"),
)
_PART: Final = a_request(capacity={"requests": {"memory": "4Gi"}})
shared: Final = world(
    a_slice(a_device("d0", capacity={"memory": "10Gi"}, allowMultipleAllocations=True)),
    a_claim_document(_PART, name="c0"),
    a_claim_document(_PART, name="c1"),
    a_user("p0", "c0"),
    a_user("p1", "c1"),
)
partitions: Final = world(
    a_slice(name="counters", sharedCounters=counters(units="4"), of=2),
    a_slice(
        *(a_device(f"d{n}", counters={"units": "2"}) for n in range(3)),
        name="devices",
        of=2,
    ),
    a_claim_document(name="c0"),
    a_claim_document(name="c1"),
    a_user("p0", "c0"),
    a_user("p1", "c1"),
)
conditional: Final = world(
    a_slice(a_device("d0", bindingConditions=["attached"], bindingFailureConditions=["broken"])),
    a_claim_document(),
    a_user("p", "claim"),
)


def allocation_of(change: Callable[[ClaimAllocation], ClaimAllocation]) -> Tamper:
    """Every allocation of the plan changed, the devices listed with it."""

    def changed(entry: ClaimPlacement) -> ClaimPlacement:
        assert entry.allocation is not None
        allocation = change(entry.allocation)
        devices = tuple(result.device_id for result in allocation.results)
        return replace(entry, allocation=allocation, devices=devices)

    return claim_of(changed)


def results(change: Callable[[DeviceResult], DeviceResult]) -> Tamper:
    return allocation_of(lambda one: replace(one, results=tuple(map(change, one.results))))


def result(**fields: Any) -> Tamper:
    return results(lambda one: replace(one, **fields))


def devices(*names: str) -> Tamper:
    """Devices of these names, in order, instead of those of the plan."""

    def change(one: ClaimAllocation) -> ClaimAllocation:
        pairs = zip(one.results, names, strict=True)
        return replace(one, results=tuple(replace(old, device=name) for old, name in pairs))

    return allocation_of(change)


def claims_with(**fields: Any) -> Tamper:
    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        return replace(snapshot, claims=tuple(replace(one, **fields) for one in snapshot.claims))

    return world_with(change)


def slices_with(change: Callable[[ResourceSlice], ResourceSlice]) -> Tamper:
    def changed(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        slices = tuple(map(change, snapshot.fleet.slices))
        return replace(snapshot, fleet=replace(snapshot.fleet, slices=slices))

    return world_with(changed)


def published(**fields: Any) -> Tamper:
    """All devices are published otherwise than the engine read them."""
    return slices_with(
        lambda one: replace(one, devices=tuple(replace(device, **fields) for device in one.devices))
    )


def classes_with(**fields: Any) -> Tamper:
    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        classes = tuple(replace(one, **fields) for one in snapshot.fleet.device_classes)
        return replace(snapshot, fleet=replace(snapshot.fleet, device_classes=classes))

    return world_with(change)


def hardware(*types: str) -> Tamper:
    """All devices are one piece of hardware, published under several types."""

    def change(one: ResourceSlice) -> ResourceSlice:
        changed = tuple(
            replace(
                device,
                attributes=(("type", ("string", types[number % 2])), ("uuid", ("string", "same"))),
            )
            for number, device in enumerate(one.devices)
        )
        return replace(one, devices=changed)

    return slices_with(change)


def newer(one: ResourceSlice) -> ResourceSlice:
    return replace(one, generation=one.generation + 1, devices=()) if one.pool == "n1" else one


def groups(snapshot: ClusterSnapshot, plan: Plan) -> tuple[ClusterSnapshot, Plan]:
    """Every partition works with others of its own group only."""

    def change(one: ResourceSlice) -> ResourceSlice:
        changed = tuple(
            replace(
                device,
                consumes_counters=tuple(
                    replace(use, compatibility_groups=(device.name,)) for use in device.consumes_counters
                ),
            )
            for device in one.devices
        )
        return replace(one, devices=changed)

    return slices_with(change)(snapshot, plan)


def crowd() -> tuple[Consumer, ...]:
    return tuple(Consumer("pods", f"x{number}", f"uid-{number}") for number in range(256))


ONLY_N2: Final = NodeSelector(
    (NodeSelectorTerm(fields=(Requirement("metadata.name", Operator.IN, ("n2",)),)),)
)
