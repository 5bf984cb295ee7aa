"""Greedy: seats gangs one after another, tightest fit first. It gives every cycle its incumbent.

A gang's tree is walked from the root: a required level is tried domain by domain, a preferred one from its finest
level outwards, children in order, leaves by filling nodes. Whatever fails is rolled back as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kai_sched.placement.gangs import Gang, GangNode, core_of, elastic_units, unit_pods
from kai_sched.placement.reasons.explain import explain
from kai_sched.placement.refusal import Failure, Refusal
from kai_sched.placement.seating.pins import pin_choices
from kai_sched.placement.seating.pods import seat_pods
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.spans import DomainChoice, domain_choices, outward_levels

Mask = NDArray[np.bool_]


def place_core(
    boards: Boards, gang: Gang, *, allowed: Mask | None = None, in_future: bool = False
) -> Refusal | None:
    """Seat what the gang needs to reach its minimum inside ``allowed`` nodes, or nothing.

    Returns None on success (also when nothing is missing), else the dominant reason.
    """
    world = boards.world
    mark = world.checkpoint()
    failure = _Attempt(boards, in_future=in_future).place(gang.root, allowed)
    if failure is None:
        return None
    world.rollback(mark)
    for pinned in pin_choices(boards, gang, in_future=in_future):
        boards.pinned = pinned
        again = _Attempt(boards, in_future=in_future).place(gang.root, allowed)
        boards.pinned = {}
        if again is None:
            return None
        world.rollback(mark)
    return explain(boards, failure, in_future=in_future)


def place_extra(
    boards: Boards,
    gang: Gang,
    *,
    may: Callable[[tuple[int, ...]], Refusal | None],
    allowed: Mask | None = None,
    in_future: bool = False,
) -> Refusal | None:
    """Seat the next unit above the minimum: one pod of a satisfied leaf, or the core of one more child.

    ``may``: why these pods may not be placed at all, None if they may.
    """
    world = boards.world
    first: Refusal | Failure | None = None
    for path in elastic_units(gang.root):
        refusal = may(unit_pods(path[-1]))
        if refusal is not None:
            first = first or refusal
            continue
        mark = world.checkpoint()
        failure = _Attempt(boards, in_future=in_future).place_unit(path, allowed)
        if failure is None:
            return None
        world.rollback(mark)
        first = first or failure
    return explain(boards, first, in_future=in_future) if isinstance(first, Failure) else first


class _Attempt:
    """One try to seat (part of) one gang."""

    def __init__(self, boards: Boards, *, in_future: bool) -> None:
        self.boards = boards
        self.world = boards.world
        self.in_future = in_future

    def place(self, node: GangNode, allowed: Mask | None) -> Failure | None:
        """Seat the core of a subtree under its own constraint."""
        pods = tuple(core_of(node))
        if not pods:
            return None
        return self._under_constraint(node, pods, allowed, whole=True)

    def place_unit(self, path: Sequence[GangNode], allowed: Mask | None) -> Failure | None:
        """Seat one elastic unit at the end of a path, under every constraint along it."""
        node, *rest = path
        if not rest:
            if node.is_leaf and node.need_pods == 0:
                return self._under_constraint(node, node.pending[:1], allowed, whole=False)
            return self.place(node, allowed)
        constraint = node.constraint
        if constraint is None or not (constraint.required_level or constraint.preferred_level):
            return self.place_unit(rest, allowed)
        unit = path[-1]
        pods = unit_pods(unit)
        failure: Failure | None = None
        for choice in self._choices(
            node, pods, allowed, constraint.required_level or constraint.preferred_level
        ):
            mark = self.world.checkpoint()
            failure = self.place_unit(rest, choice.mask)
            if failure is None:
                return None
            self.world.rollback(mark)
        if constraint.required_level:
            return Failure(node, pods, allowed, by_domain=True, inner=failure)
        return self.place_unit(rest, allowed)

    def _under_constraint(
        self, node: GangNode, pods: Sequence[int], allowed: Mask | None, *, whole: bool
    ) -> Failure | None:
        constraint = node.constraint
        if constraint is None or not (constraint.required_level or constraint.preferred_level):
            return self._members(node, pods, allowed, whole=whole)
        if not constraint.required_level:
            return self._preferring(node, pods, allowed, whole=whole)
        choices = self._choices(node, pods, allowed, constraint.required_level)
        failure: Failure | None = None
        for choice in choices:
            mark = self.world.checkpoint()
            failure = self._preferring(node, pods, choice.mask, whole=whole)
            if failure is None:
                return None
            self.world.rollback(mark)
        return Failure(node, tuple(pods), allowed, by_domain=True, inner=failure)

    def _preferring(
        self, node: GangNode, pods: Sequence[int], allowed: Mask | None, *, whole: bool
    ) -> Failure | None:
        """From the preferred level outwards one domain at a time, then spread over as few as possible."""
        constraint = node.constraint
        if constraint is None or not constraint.preferred_level:
            return self._members(node, pods, allowed, whole=whole)
        for level in outward_levels(self.world.base.domains, constraint):
            for choice in self._choices(node, pods, allowed, level):
                mark = self.world.checkpoint()
                if self._members(node, pods, choice.mask, whole=whole) is None:
                    return None
                self.world.rollback(mark)
        codes = self.world.base.domains.codes(constraint.topology, constraint.preferred_level)
        return self._members(node, pods, allowed, codes, whole=whole)

    def _choices(
        self, node: GangNode, pods: Sequence[int], allowed: Mask | None, level: str
    ) -> Iterator[DomainChoice]:
        topology = node.constraint.topology if node.constraint is not None else ""
        return domain_choices(
            self.boards, topology, level, pods, allowed, node.active_on, in_future=self.in_future
        )

    def _members(
        self,
        node: GangNode,
        pods: Sequence[int],
        allowed: Mask | None,
        spread_over: NDArray[np.int32] | None = None,
        *,
        whole: bool,
    ) -> Failure | None:
        if node.is_leaf or not whole:
            seated = seat_pods(Ground(self.boards, allowed, spread_over, self.in_future), pods)
            if seated == len(pods):
                return None
            return Failure(node, tuple(pods), allowed, seated)
        missing = node.need_children - sum(child.is_satisfied for child in node.children)
        open_children = [child for child in node.children if not child.is_satisfied and child.is_ready]
        failure: Failure | None = None
        start = self.world.checkpoint()
        for position, child in enumerate(open_children):
            if missing == 0:
                return None
            mark = self.world.checkpoint()
            failure = self.place(child, allowed)
            if failure is None:
                missing -= 1
                continue
            self.world.rollback(mark)
            if len(open_children) - position - 1 < missing:
                return replace(failure, beside=failure.beside + mark - start)
        return None if missing == 0 else failure
