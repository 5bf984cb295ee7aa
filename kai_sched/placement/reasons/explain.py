"""Explain: the one dominant reason why pods found no place, with amounts, from the same counts the engine used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.devices import MAX_CONSUMERS
from kai_sched.model.outlook import Bound, Fact
from kai_sched.model.plan import Blocker
from kai_sched.model.resources import amount_text
from kai_sched.model.words import counted
from kai_sched.placement.reasons.explain_devices import device_refusal, held_refusal, supply_refusal
from kai_sched.placement.reasons.explain_shares import share_refusal
from kai_sched.placement.refusal import Failure, Refusal
from kai_sched.placement.site.backing import UNLIMITED
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.spans import shapes_of, slots_by_domain

Mask = NDArray[np.bool_]
_UNITS_A_SHAPE: Final = 10
_ROWS_A_UNIT: Final = 200


def explain(ground: Ground, failure: Failure) -> Refusal:
    """The dominant reason of a failed attempt, judged on the world as it was before the attempt."""
    if failure.by_domain:
        refusal = _explain_domains(ground, failure)
    else:
        refusal = _explain_pods(ground, failure.pods, failure.seated, failure.allowed)
    node = failure.node
    if not node.name:
        return refusal
    return replace(
        refusal,
        sub_group=node.name,
        fitted=failure.beside + failure.seated,
        wanted=node.minimum if node.is_leaf else len(failure.pods),
    )


def _explain_pods(ground: Ground, pods: Sequence[int], seated: int, allowed: Mask | None) -> Refusal:
    """Why only ``seated`` of these pods found a place, judged on the worst shape."""
    counts = shapes_of(ground.world, pods)
    everywhere = ground.world.base.everywhere if allowed is None else allowed
    for shape, wanted in counts.items():
        refusal = _explain_shape(ground, shape, wanted, pods, everywhere)
        if refusal is not None:
            return refusal
    claiming = next((shape for shape in counts if shape.own and counts[shape] > 1), None)
    if claiming is not None:
        return supply_refusal(
            ground,
            claiming,
            counts[claiming],
            min(seated, counts[claiming]),
            pods,
            everywhere,
        )
    return Refusal(
        blocker=Blocker.CAPACITY,
        message=f"room was found for {seated} of {counted(len(pods), 'pod')}: together they do not fit",
        next_step=f"it lacks room for {counted(len(pods) - seated, 'more pod')} like these",
        fitted=seated,
        wanted=len(pods),
        bound=Bound(fact=Fact.FLEET, resource="pods", asked=len(pods), there=seated),
    )


def _explain_domains(ground: Ground, failure: Failure) -> Refusal:
    """Why no single domain of the required level holds the pods; a plain lack of room is said as such."""
    node, pods, allowed = failure.node, failure.pods, failure.allowed
    base = ground.world.base
    constraint = node.constraint
    if constraint is None:
        raise AssertionError("only constrained nodes are explained by domains")
    level = constraint.required_level
    label = base.domains.label_of(constraint.topology, level)
    codes = base.domains.codes(constraint.topology, level)
    everywhere = base.everywhere if allowed is None else allowed
    subject = f"subgroup {node.name}" if node.name else "the gang"
    homes = sorted({int(codes[base.table.index_of[n]]) for n in node.active_on if n in base.table.index_of})
    if len(homes) > 1:
        return Refusal(
            blocker=Blocker.TOPOLOGY,
            message=f"{subject} already runs in {len(homes)} domains of required level {label}",
            next_step="delete its running pods, so that it can start again in one domain",
        )
    for shape, wanted in shapes_of(ground.world, pods).items():
        if homes:
            break
        refusal = _explain_shape(ground, shape, wanted, pods, everywhere)
        if refusal is not None:
            return refusal
    if not (codes >= 0).any():
        return Refusal(
            blocker=Blocker.TOPOLOGY,
            message=f"no node is part of topology {constraint.topology!r}: none carries "
            f"the labels of all its levels ({', '.join(base.domains.level_labels(constraint.topology))})"
            if constraint.topology
            else f"no node carries label {label}",
            next_step="label the nodes or correct the topology",
            is_proof=True,
            bound=Bound(fact=Fact.NODE_RULES, subject=label, resource="nodes", asked=1, there=0),
        )
    usable = (codes >= 0) & everywhere
    if homes:
        usable &= codes == homes[0]
    best, code = _best_domain(ground, pods, codes, usable)
    name = base.domains.level(constraint.topology, level).names[code] if code >= 0 else "none"
    message = f"{subject} needs one {label} for {counted(len(pods), 'pod')}: the roomiest, {name}, holds {best} of them"
    if best >= len(pods):
        message = f"no single {label} holds the {counted(len(pods), 'pod')} of {subject} together"
        if failure.inner is not None:
            message += f" ({explain(ground, failure.inner).message})"
    return Refusal(
        blocker=Blocker.TOPOLOGY,
        message=message,
        next_step=f"it lacks room for {counted(max(1, len(pods) - best), 'more pod')} inside one {label}",
        is_proof=best < len(pods) and _is_one_counted_shape(ground, pods),
        fitted=best,
        wanted=len(pods),
        bound=Bound(
            fact=Fact.BIGGEST_DOMAIN,
            subject=name,
            resource="pods",
            asked=len(pods),
            there=min(best, len(pods)),
        ),
    )


def _is_one_counted_shape(ground: Ground, pods: Sequence[int]) -> bool:
    counts = shapes_of(ground.world, pods)
    return len(counts) == 1 and all(map(ground.boards.is_counted, counts))


def _best_domain(
    ground: Ground,
    pods: Sequence[int],
    codes: NDArray[np.int32],
    usable: Mask,
) -> tuple[int, int]:
    """(pods, code) of the domain that holds the most of these pods."""
    where = np.flatnonzero(usable)
    size = int(codes.max(initial=-1)) + 1
    fitted = np.zeros(size, dtype=np.int64)
    for shape, wanted in shapes_of(ground.world, pods).items():
        room = slots_by_domain(ground, shape, codes, where, size)
        fitted += np.minimum(room, wanted)
    code = int(fitted.argmax()) if size else -1
    if code < 0:
        return 0, -1
    return int(fitted[code]), code


def _explain_shape(
    ground: Ground, shape: Shape, wanted: int, pods: Sequence[int], everywhere: Mask
) -> Refusal | None:
    """The reason if this shape alone cannot be seated ``wanted`` times, else None."""
    base = ground.world.base
    base.meter.charge(_UNITS_A_SHAPE + len(base.all_nodes) // _ROWS_A_UNIT)
    static = base.static_mask(shape)
    if not (static.allowed & everywhere).any():
        return _static_refusal(static.explain(), wanted)
    refusal = _consumer_refusal(ground, shape, wanted)
    if refusal is not None:
        return refusal
    homes = ground.world.homes
    if shape.fabric is not None and homes.cliques(shape.fabric):
        everywhere = everywhere & homes.mask(shape.fabric)
        if int(ground.slots(shape)[everywhere].sum()) < wanted:
            return _home_refusal(ground, shape, wanted, everywhere)
    free = ground.free()
    by_resource = _room_by_resource(ground, shape, free, static.allowed & everywhere)
    fitted = int(np.minimum.reduce(list(by_resource.values())).sum()) if by_resource else wanted
    if fitted < wanted:
        usable = static.allowed & everywhere
        return _capacity_refusal(ground, shape, wanted, fitted, by_resource, usable, static.explain())
    slots = ground.slots(shape)
    seats = int(slots[everywhere].sum())
    refusal = None if seats else held_refusal(ground, shape, wanted, static.allowed & everywhere, free)
    if refusal is None and shape.backed and seats < wanted:
        refusal = _backing_refusal(ground, shape, wanted, seats, everywhere)
    if refusal is not None:
        return refusal
    if shape.own or any(ground.world.allocation_of(key) is None for key in shape.named):
        return device_refusal(ground, shape, wanted, seats, pods, everywhere)
    if seats:
        return None
    refusal = share_refusal(ground, shape, wanted, static.allowed & everywhere)
    return refusal or Refusal(
        blocker=Blocker.NODE_CONSTRAINTS,
        message="every node with room is excluded by pods already there "
        "(affinity, anti-affinity, spread, host ports or volumes)",
        next_step="relax the pod's affinity, spread or ports, or add nodes",
        wanted=wanted,
        bound=Bound(fact=Fact.NODE_RULES, resource="nodes", asked=1, there=0),
    )


def _consumer_refusal(ground: Ground, shape: Shape, wanted: int) -> Refusal | None:
    """More pods than a claim may serve: what it can be reserved for, or one if it has confidential GPUs."""
    for key in shape.named:
        is_alone = key in shape.terms.alone
        count = ground.world.consumer_count(key) + wanted
        if count <= (1 if is_alone else MAX_CONSUMERS):
            continue
        why = (
            "the GPUs of a confidential pod serve no other"
            if is_alone
            else f"{MAX_CONSUMERS} is the most a claim can be reserved for"
        )
        return Refusal(
            blocker=Blocker.DEVICES,
            message=f"claim {key} would have {count} consumers, {why}",
            next_step="give each pod a claim of its own"
            if is_alone
            else "share the claim between fewer pods",
            is_proof=True,
            wanted=wanted,
            bound=Bound(
                fact=Fact.OBJECT,
                subject=key,
                resource="consumers",
                asked=count,
                there=1 if is_alone else MAX_CONSUMERS,
            ),
        )
    return None


def _home_refusal(ground: Ground, shape: Shape, wanted: int, home: Mask) -> Refusal:
    """The fabric runs in a clique that has no room left."""
    base = ground.world.base
    label = base.policy.clique_label
    level = base.domains.level("", label)
    assert shape.fabric is not None
    names = [level.names[code] for code in ground.world.homes.cliques(shape.fabric) if code >= 0]
    fitted = min(wanted, int(ground.slots(shape)[home].sum()))
    return Refusal(
        blocker=Blocker.TOPOLOGY,
        message=f"its fabric already runs in {', '.join(names) or 'nodes without ' + label}, "
        f"which holds {fitted} of {counted(wanted, 'more pod')}",
        next_step=f"it lacks room for {counted(wanted - fitted, 'more pod')} there; or restart the whole fabric",
        fitted=fitted,
        wanted=wanted,
    )


def _static_refusal(eliminated: str, wanted: int) -> Refusal:
    return Refusal(
        blocker=Blocker.NODE_CONSTRAINTS,
        message=f"no node is allowed: {eliminated or 'there is none'}",
        next_step="correct the selector, tolerations or volumes, or add nodes that match",
        is_proof=True,
        wanted=wanted,
        bound=Bound(fact=Fact.NODE_RULES, resource="nodes", asked=1, there=0),
    )


def _room_by_resource(
    ground: Ground, shape: Shape, free: NDArray[np.int64], usable: Mask
) -> dict[str, NDArray[np.int64]]:
    axis = ground.world.base.table.axis
    return {
        axis[column]: np.where(usable, np.maximum(free[:, column], 0) // shape.request[column], 0)
        for column in np.flatnonzero(shape.request)
    }


def _capacity_refusal(
    ground: Ground,
    shape: Shape,
    wanted: int,
    fitted: int,
    by_resource: dict[str, NDArray[np.int64]],
    usable: Mask,
    eliminated: str,
) -> Refusal:
    table = ground.world.base.table
    tightest = _tightest(by_resource, wanted)
    column = table.axis.index(tightest)
    each = int(shape.request[column])
    missing = (wanted - fitted) * each
    largest = int(table.allocatable[usable, column].max(initial=0))
    per_pod, lacking = amount_text(tightest, each), amount_text(tightest, missing)
    bound = Bound(fact=Fact.FLEET, resource=tightest, asked=wanted, there=fitted)
    if each > largest:
        bound = Bound(fact=Fact.BIGGEST_NODE, resource=tightest, asked=each, there=largest)
        where = "the largest node that it may use" if eliminated else "the largest node"
        message = f"a pod asks for {per_pod} {tightest}, {where} has {amount_text(tightest, largest)}"
        next_step = f"ask for less in each pod, or add nodes with {per_pod} {tightest}"
    else:
        message = (
            f"room for {fitted} of {counted(wanted, 'pod')}: {lacking} more {tightest} needed, "
            f"{per_pod} on one node each"
        )
        next_step = f"it lacks {lacking} {tightest}, {per_pod} on one node each"
        if int(by_resource[tightest].sum()) >= wanted:
            # There is enough of it, but elsewhere than the rest.
            rest = ", ".join(name for name in by_resource if name not in {tightest, "pods"})
            message = (
                f"room for {fitted} of {counted(wanted, 'pod')}: nodes with free {rest} lack {tightest}, "
                f"{per_pod} on one node each"
            )
            next_step = f"it lacks {lacking} {tightest} on nodes with free {rest}"
    message += f"; {eliminated}" if eliminated else ""
    return Refusal(
        blocker=Blocker.CAPACITY,
        message=message,
        next_step=next_step,
        is_proof=True,
        fitted=fitted,
        wanted=wanted,
        bound=bound,
    )


def _tightest(by_resource: dict[str, NDArray[np.int64]], wanted: int) -> str:
    """The resource that is short: everywhere, else where the scarcest of all is still to be had."""

    def room_without(name: str) -> int:
        others = [room for other, room in by_resource.items() if other != name]
        return int(np.minimum.reduce(others).sum())

    scarcity = {name: (int(room.sum()), name != "cpu", name) for name, room in by_resource.items()}
    scarcest = min(scarcity, key=scarcity.__getitem__)
    if scarcity[scarcest][0] < wanted or len(by_resource) == 1:
        return scarcest
    return min(scarcity.keys() - {scarcest}, key=lambda name: (-room_without(name), scarcity[name]))


def _backing_refusal(ground: Ground, shape: Shape, wanted: int, seats: int, everywhere: Mask) -> Refusal:
    """Neither kind of node has enough of an extended resource that a device class stands for."""
    base, world = ground.world.base, ground.world
    nodes = np.flatnonzero(base.static_mask(shape).allowed & everywhere)
    free = ground.free()[nodes]
    devices = world.room(ground.horizon).devices
    parts: list[str] = []
    for name in shape.backed:
        column = free[:, base.backing.columns[name]]
        plugin = int(np.where(column < UNLIMITED >> 1, np.maximum(column, 0), 0).sum())
        devices_free = base.backing.free_devices(name, nodes, devices, shape.terms.closure)
        by_claim = "" if devices_free is None else f", {counted(int(devices_free.sum()), 'free device')}"
        parts.append(
            f"{name}: {plugin} free by device plugin{by_claim} of class {base.backing.class_of[name]}, "
            f"{int(shape.request[base.backing.columns[name]])} on one node each"
        )
    return Refusal(
        blocker=Blocker.CAPACITY,
        message=f"room for {seats} of {counted(wanted, 'pod')}: {'; '.join(parts)}",
        next_step=f"it lacks {shape.backed[0]} for {counted(wanted - seats, 'more pod')}",
        fitted=seats,
        wanted=wanted,
    )
