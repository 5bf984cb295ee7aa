"""Rows of claims and their devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kai_sched.model.devices import (
    AllocatedConfig,
    ClaimAllocation,
    OpaqueConfig,
)
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.selectors import Taint
from kai_sched.placement.checker import ViolationKind as Kind
from tests.tamper.claim_stage import (
    ONLY_N2,
    allocated,
    allocation_of,
    alternatives,
    claims_with,
    classes_with,
    conditional,
    crowd,
    devices,
    everything,
    groups,
    hardware,
    newer,
    one_device,
    paired,
    partitions,
    published,
    result,
    shared,
    slices_with,
    two_claims,
)
from tests.tamper.row import Row, binds, claim_of, world_with
from tests.unit.devices.dra import (
    DRIVER,
)

_CLAIM: Final = "a claim is allocated once, as it asks, and reserved for no more than it may"
_USABLE: Final = (
    "a claim is usable on its pod's node, and its allocation says where and with which parameters"
)
_ALIKE: Final = "devices of a claim share, or do not share, the values that it says"
_DEVICE: Final = "a device given is published for the node, once, and reachable from there"
_SELECTED: Final = "a device given is what class and request select, and its taints are tolerated"
_FORM: Final = "a device is given in the form in which it is published and asked for"
_CAPACITY: Final = "parts of a device are never more than it has"
_COUNTER: Final = "devices of a pool take no more of its counters than there is, of groups that go together"

ROWS_OF_CLAIMS: Final = [
    Row(
        Kind.CLAIM,
        _CLAIM,
        "left without devices",
        one_device,
        claim_of(lambda one: replace(one, allocation=None, devices=())),
        "is not allocated",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "left out",
        one_device,
        binds(lambda one: replace(one, claims=())),
        "the plan lists []",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "a claim that is gone",
        one_device,
        world_with(lambda one: replace(one, claims=())),
        "is not in the snapshot",
    ),
    Row(Kind.CLAIM, _CLAIM, "made again since", one_device, claims_with(uid="newer"), "has uid newer"),
    Row(Kind.CLAIM, _CLAIM, "being deleted", one_device, claims_with(is_deleting=True), "is being deleted"),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "allocated already",
        one_device,
        claims_with(allocation=ClaimAllocation()),
        "is allocated already",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "too few devices",
        paired,
        allocation_of(lambda one: replace(one, results=one.results[:1])),
        "asks for 2 devices and has 1",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "another request's devices",
        one_device,
        result(request="x"),
        "which it does not make",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "an unknown alternative",
        alternatives,
        result(request="gpu/x"),
        "unknown alternative",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "alternatives mixed",
        alternatives,
        allocation_of(
            lambda one: replace(one, results=(one.results[0], replace(one.results[1], request="gpu/one")))
        ),
        "mixes alternatives",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "one of all devices left out",
        everything,
        allocation_of(lambda one: replace(one, results=one.results[:1])),
        "asks for all devices and lacks",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "one claim allocated twice",
        two_claims,
        claim_of(lambda one: replace(one, claim=ClaimKey("team/c0"), uid=Uid("uid-c0"))),
        "is allocated twice by the plan",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "the 257th consumer",
        allocated,
        claims_with(reserved_for=crowd()),
        "256 is the most",
    ),
    Row(
        Kind.CLAIM,
        _CLAIM,
        "listed with other devices",
        allocated,
        claim_of(lambda one: replace(one, devices=(f"{DRIVER}/n1/d1",))),
        "listed with other devices",
    ),
    Row(
        Kind.CLAIM,
        _USABLE,
        "allocated for another node",
        one_device,
        allocation_of(lambda one: replace(one, node_selector=ONLY_N2)),
        "not usable there",
    ),
    Row(
        Kind.CLAIM,
        _USABLE,
        "devices of a node, yet tied to none",
        one_device,
        allocation_of(lambda one: replace(one, node_selector=None)),
        "is not tied to it",
    ),
    Row(
        Kind.CLAIM,
        _USABLE,
        "a held claim used from a node that it excludes",
        allocated,
        lambda snapshot, plan: (
            replace(
                snapshot,
                claims=tuple(
                    replace(one, allocation=replace(one.allocation, node_selector=ONLY_N2))  # type: ignore[arg-type]
                    for one in snapshot.claims
                ),
            ),
            plan,
        ),
        "is not usable on n1",
    ),
    Row(
        Kind.CLAIM,
        _USABLE,
        "parameters forgotten",
        one_device,
        allocation_of(lambda one: replace(one, configs=())),
        "other parameters",
    ),
    Row(
        Kind.CLAIM,
        _USABLE,
        "parameters of another driver",
        one_device,
        allocation_of(
            lambda one: replace(one, configs=(AllocatedConfig("FromClaim", OpaqueConfig("x", "{}")),))
        ),
        "other parameters",
    ),
    Row(
        Kind.CLAIM,
        _USABLE,
        "the time of allocation left out",
        conditional,
        allocation_of(lambda one: replace(one, allocated_at=None)),
        "does not say when",
    ),
    Row(Kind.CLAIM, _ALIKE, "devices of two islands", paired, devices("d0", "d2"), "its devices differ in"),
    Row(
        Kind.CLAIM,
        _ALIKE,
        "one slot twice",
        paired,
        published(attributes=(("island", ("string", "a")), ("slot", ("int", 0)))),
        "its devices share a value of",
    ),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "a device that nobody has",
        one_device,
        devices("x"),
        "is not published for node n1",
    ),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "a device of another node",
        one_device,
        result(pool="n2", device="far"),
        "is not published for node n1",
    ),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "a generation that was replaced",
        one_device,
        slices_with(newer),
        "is not published",
    ),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "a pool of which a part is missing",
        one_device,
        slices_with(lambda one: replace(one, slice_count=2)),
        "is being updated",
    ),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "a pool with two devices of one name",
        one_device,
        slices_with(lambda one: replace(one, devices=one.devices * 2)),
        "is invalid: it has two devices",
    ),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "a device that does not reach the node",
        one_device,
        slices_with(
            lambda one: replace(
                one,
                node_name=None,
                per_device_node_selection=True,
                devices=tuple(
                    replace(device, node_name=NodeName("n1" if device.name == "d1" else "n2"))
                    for device in one.devices
                ),
            )
        ),
        "cannot be reached from node n1",
    ),
    Row(Kind.DEVICE, _DEVICE, "one device for two claims", two_claims, devices("d0"), "is given to 2 claims"),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "one piece of hardware twice",
        two_claims,
        hardware("gpu", "vfio"),
        "is the same hardware",
    ),
    Row(
        Kind.DEVICE,
        _DEVICE,
        "one share for two claims",
        shared,
        result(share_id="same"),
        "under one share id",
    ),
    Row(
        Kind.DEVICE,
        _SELECTED,
        "another model",
        one_device,
        devices("small"),
        "does not pass selector #0 of request",
    ),
    Row(
        Kind.DEVICE,
        _SELECTED,
        "selectors of the class forgotten",
        one_device,
        classes_with(selectors=("false",)),
        "does not pass selector #0 of class gpu",
    ),
    Row(
        Kind.DEVICE,
        _SELECTED,
        "a class that is gone",
        one_device,
        classes_with(name="x"),
        "which does not exist",
    ),
    Row(
        Kind.DEVICE,
        _SELECTED,
        "taints forgotten",
        one_device,
        published(taints=(Taint("broken", "", "NoSchedule"),)),
        "has taint broken:NoSchedule",
    ),
    Row(
        Kind.DEVICE,
        _SELECTED,
        "a field that nobody honours",
        one_device,
        published(unsupported=("spec.x",)),
        "nobody here can honour",
    ),
    Row(Kind.DEVICE, _FORM, "access for admins", one_device, result(admin_access=True), "other access"),
    Row(
        Kind.DEVICE,
        _FORM,
        "other tolerations",
        one_device,
        result(toleration_documents=("{}",)),
        "other tolerations",
    ),
    Row(
        Kind.DEVICE,
        _FORM,
        "binding conditions left out",
        conditional,
        result(binding_conditions=()),
        "other binding conditions",
    ),
    Row(
        Kind.DEVICE,
        _FORM,
        "a shared device given whole",
        one_device,
        devices("part"),
        "is shared, given as a whole",
    ),
    Row(
        Kind.DEVICE,
        _FORM,
        "a whole device given as a part",
        one_device,
        result(share_id="s"),
        "it is not shared",
    ),
    Row(
        Kind.DEVICE,
        _FORM,
        "a part smaller than asked",
        shared,
        result(consumed_capacity=(("memory", 1),)),
        "asks for 4294967296",
    ),
    Row(
        Kind.DEVICE_CAPACITY,
        _CAPACITY,
        "parts larger than the whole",
        shared,
        result(consumed_capacity=(("memory", 6 << 30),)),
        "it has less",
    ),
    Row(
        Kind.DEVICE_COUNTER,
        _COUNTER,
        "counters smaller than the engine read",
        partitions,
        slices_with(
            lambda one: replace(
                one,
                shared_counters=tuple(
                    replace(group, counters=(("units", 3),))
                    for group in one.shared_counters  # type: ignore[arg-type]
                ),
            )
        ),
        "4 are taken, 3 are there",
    ),
    Row(
        Kind.DEVICE_COUNTER,
        _COUNTER,
        "groups that do not go together",
        partitions,
        groups,
        "compatibility group",
    ),
]
