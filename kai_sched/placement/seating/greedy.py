"""Greedy: seats gangs one after another, tightest fit first. It gives every cycle its incumbent.

A gang's tree is walked from the root: a required level is tried domain by domain, a preferred one from its finest
level outwards, children in order, leaves by filling nodes. Whatever fails is rolled back as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from kai_sched.placement.gangs import Gang, GangNode, core_of, elastic_units, unit_pods
from kai_sched.placement.reasons.explain import explain
from kai_sched.placement.refusal import Failure, Refusal
from kai_sched.placement.seating.pins import pin_choices
from kai_sched.placement.seating.pods import seat_pods
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.spans import DomainChoice, domain_choices, outward_levels

_UNITS_A_SUBTREE: Final = 20
_PODS_A_UNIT: Final = 20


def place_core(ground: Ground, gang: Gang) -> Refusal | None:
    """Seat what the gang needs to reach its minimum, or nothing.

    Returns None on success (also when nothing is missing), else the dominant reason.
    """
    world = ground.world
    mark = world.checkpoint()
    failure = _place(ground, gang.root)
    if failure is None:
        return None
    world.rollback(mark)
    for pinned in pin_choices(ground, gang):
        if _place(replace(ground, pinned=pinned), gang.root) is None:
            return None
        world.rollback(mark)
    return explain(ground, failure)


def place_extra(
    ground: Ground, gang: Gang, *, may: Callable[[tuple[int, ...]], Refusal | None]
) -> Refusal | None:
    """Seat the next unit above the minimum: one pod of a satisfied leaf, or the core of one more child.

    ``may``: why these pods may not be placed at all, None if they may.
    """
    world = ground.world
    first: Refusal | Failure | None = None
    for path in elastic_units(gang.root):
        refusal = may(unit_pods(path[-1]))
        if refusal is not None:
            first = first or refusal
            continue
        mark = world.checkpoint()
        failure = _place_unit(ground, path)
        if failure is None:
            return None
        world.rollback(mark)
        first = first or failure
    return explain(ground, first) if isinstance(first, Failure) else first


def _place(ground: Ground, node: GangNode) -> Failure | None:
    """Seat the core of a subtree under its own constraint."""
    pods = tuple(core_of(node))
    ground.world.base.meter.charge(_UNITS_A_SUBTREE + len(pods) // _PODS_A_UNIT)
    if not pods:
        return None
    return _under_constraint(ground, node, pods, whole=True)


def _place_unit(ground: Ground, path: Sequence[GangNode]) -> Failure | None:
    """Seat one elastic unit at the end of a path, under every constraint along it."""
    node, *rest = path
    if not rest:
        if node.is_leaf and node.need_pods == 0:
            return _under_constraint(ground, node, node.pending[:1], whole=False)
        return _place(ground, node)
    constraint = node.constraint
    if constraint is None or not (constraint.required_level or constraint.preferred_level):
        return _place_unit(ground, rest)
    pods = unit_pods(path[-1])
    failure: Failure | None = None
    for choice in _choices(ground, node, pods, constraint.required_level or constraint.preferred_level):
        mark = ground.world.checkpoint()
        failure = _place_unit(ground.within(choice.mask), rest)
        if failure is None:
            return None
        ground.world.rollback(mark)
    if constraint.required_level:
        return Failure(node, pods, ground.allowed, by_domain=True, inner=failure)
    return _place_unit(ground, rest)


def _under_constraint(ground: Ground, node: GangNode, pods: Sequence[int], *, whole: bool) -> Failure | None:
    constraint = node.constraint
    if constraint is None or not (constraint.required_level or constraint.preferred_level):
        return _members(ground, node, pods, whole=whole)
    if not constraint.required_level:
        return _preferring(ground, node, pods, whole=whole)
    failure: Failure | None = None
    for choice in _choices(ground, node, pods, constraint.required_level):
        mark = ground.world.checkpoint()
        failure = _preferring(ground.within(choice.mask), node, pods, whole=whole)
        if failure is None:
            return None
        ground.world.rollback(mark)
    return Failure(node, tuple(pods), ground.allowed, by_domain=True, inner=failure)


def _preferring(ground: Ground, node: GangNode, pods: Sequence[int], *, whole: bool) -> Failure | None:
    """From the preferred level outwards one domain at a time, then spread over as few as possible."""
    constraint = node.constraint
    if constraint is None or not constraint.preferred_level:
        return _members(ground, node, pods, whole=whole)
    domains = ground.world.base.domains
    for level in outward_levels(domains, constraint):
        for choice in _choices(ground, node, pods, level):
            mark = ground.world.checkpoint()
            if _members(ground.within(choice.mask), node, pods, whole=whole) is None:
                return None
            ground.world.rollback(mark)
    codes = domains.codes(constraint.topology, constraint.preferred_level)
    return _members(replace(ground, spread_over=codes), node, pods, whole=whole)


def _choices(ground: Ground, node: GangNode, pods: Sequence[int], level: str) -> Iterator[DomainChoice]:
    topology = node.constraint.topology if node.constraint is not None else ""
    return domain_choices(ground, topology, level, pods, node.active_on)


def _members(ground: Ground, node: GangNode, pods: Sequence[int], *, whole: bool) -> Failure | None:
    if node.is_leaf or not whole:
        seated = seat_pods(ground, pods)
        if seated == len(pods):
            return None
        return Failure(node, tuple(pods), ground.allowed, seated)
    missing = node.need_children - sum(child.is_satisfied for child in node.children)
    open_children = [child for child in node.children if not child.is_satisfied and child.is_ready]
    failure: Failure | None = None
    world = ground.world
    start = world.checkpoint()
    # What is spread is the leaf's pods; a child has a preference of its own or none.
    inside = replace(ground, spread_over=None)
    for position, child in enumerate(open_children):
        if missing == 0:
            return None
        mark = world.checkpoint()
        failure = _place(inside, child)
        if failure is None:
            missing -= 1
            continue
        world.rollback(mark)
        if len(open_children) - position - 1 < missing:
            return replace(failure, beside=failure.beside + mark - start)
    return None if missing == 0 else failure
