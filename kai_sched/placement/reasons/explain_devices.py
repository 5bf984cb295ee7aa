"""Explain devices: why the claims of pods are not served, as the refusal of their shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.devices.allocator import DeviceRefusal, RefusalKind, explain_claims, explain_supply
from kai_sched.devices.results import pinned_node
from kai_sched.model.devices import Claim
from kai_sched.model.nodes import Node
from kai_sched.model.outlook import Bound, Fact
from kai_sched.model.plan import Blocker
from kai_sched.model.resources import amount_text
from kai_sched.model.words import counted
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.ground import Ground

Mask = NDArray[np.bool_]
_ELSEWHERE: Final = "end the claim's other users, so that it can be allocated elsewhere"


def device_refusal(
    ground: Ground,
    shape: Shape,
    wanted: int,
    seats: int,
    pods: Sequence[int],
    everywhere: Mask,
) -> Refusal | None:
    """Why not ``wanted`` pods of a shape get devices; None if it cannot be told from one pod."""
    if shape.is_countable and seats >= wanted:
        return None
    base = ground.world.base
    claims = _claims(ground, shape, pods)
    if not claims:
        return None
    devices = ground.world.room(ground.horizon).devices
    nodes = _nodes(ground, shape, everywhere)
    found = explain_claims(base.device_index, devices, nodes, claims, base.options_of(shape))
    if found is None:
        if not shape.is_countable:
            return None
        refusal = supply_refusal(ground, shape, wanted, seats, pods, everywhere)
        return replace(refusal, is_proof=True)
    is_fatal = found.kind is RefusalKind.FATAL
    fitted = 0 if is_fatal else min(seats, wanted)
    general = (
        "correct the claim" if is_fatal else "free devices of that class, or relax the claim's constraints"
    )
    return Refusal(
        blocker=Blocker.DEVICES,
        message=f"devices for {fitted} of {counted(wanted, 'pod')}: {found.message}",
        next_step=found.next_step or general,
        is_proof=found.kind is not RefusalKind.BUDGET,
        is_given_up=found.kind is RefusalKind.BUDGET,
        fitted=fitted,
        wanted=wanted,
        bound=_bound(found, wanted, fitted),
    )


def held_refusal(
    ground: Ground, shape: Shape, wanted: int, allowed: Mask, free: NDArray[np.int64]
) -> Refusal | None:
    """A claim of the pods has its devices already, and where they can be used there is no place."""
    base = ground.world.base
    for key in shape.named:
        allocation = ground.world.allocation_of(key)
        if allocation is None or allocation.node_selector is None:
            continue
        there = base.table.match(allocation.node_selector)
        node = pinned_node(allocation)
        where = f"claim {key} is allocated on {node or counted(int(there.sum()), 'node')}"
        refusal = partial(Refusal, wanted=wanted, next_step=_ELSEWHERE)
        if not there.any():
            return refusal(
                blocker=Blocker.DEVICES,
                message=f"{where}, which is gone or not among the nodes of this scheduler",
            )
        if not (there & allowed).any():
            return refusal(blocker=Blocker.NODE_CONSTRAINTS, message=f"{where}, where the pod is not allowed")
        lacks = np.maximum(shape.request - free[there & allowed], 0)
        if (lacks > 0).any(axis=1).all():
            least = lacks[int(np.argmin((lacks > 0).sum(axis=1)))]
            column = int(np.flatnonzero(least)[0])
            lacking = amount_text(base.table.axis[column], int(least[column]))
            return Refusal(
                blocker=Blocker.CAPACITY,
                message=f"{where}, which is full: {lacking} more {base.table.axis[column]} needed there",
                next_step=f"free {lacking} {base.table.axis[column]} there, or {_ELSEWHERE}",
                wanted=wanted,
            )
    return None


def supply_refusal(
    ground: Ground,
    shape: Shape,
    wanted: int,
    seats: int,
    pods: Sequence[int],
    everywhere: Mask,
) -> Refusal:
    """One pod would get devices, but not all of them."""
    base = ground.world.base
    text = explain_supply(
        base.device_index,
        ground.world.room(ground.horizon).devices,
        _nodes(ground, shape, everywhere),
        _claims(ground, shape, pods),
        wanted,
        shape.terms.closure,
    )
    return Refusal(
        blocker=Blocker.DEVICES,
        message=f"devices for {seats} of {counted(wanted, 'pod')}: {text}",
        next_step=f"it lacks devices for {counted(wanted - seats, 'more pod')} like these",
        fitted=seats,
        wanted=wanted,
        bound=Bound(fact=Fact.FLEET, resource="pods", asked=wanted, there=seats),
    )


def _bound(found: DeviceRefusal, wanted: int, fitted: int) -> Bound:
    """What decides: the claim itself, a kind of device that no node has, a node's number of them, or all together."""
    if found.kind is RefusalKind.FATAL:
        return Bound(fact=Fact.OBJECT, subject=found.claim)
    if found.most == 0:
        return Bound(
            fact=Fact.DEVICE_KIND, subject=found.request, resource="devices", asked=max(1, found.asked)
        )
    if found.most is not None and found.most < found.asked:
        return Bound(
            fact=Fact.BIGGEST_NODE,
            subject=found.request,
            resource="devices",
            asked=found.asked,
            there=found.most,
        )
    return Bound(fact=Fact.DEVICES, resource="pods", asked=wanted, there=fitted)


def _claims(ground: Ground, shape: Shape, pods: Sequence[int]) -> Sequence[Claim]:
    """The claims of one pod of the shape that nobody has allocated."""
    pod = next(pod for pod in pods if ground.world.base.shape_of(pod) is shape)
    return ground.world.unallocated_claims(pod)


def _nodes(ground: Ground, shape: Shape, everywhere: Mask) -> list[Node]:
    base = ground.world.base
    allowed = base.static_mask(shape).allowed & everywhere
    return [base.table.nodes[node] for node in np.flatnonzero(allowed)]
