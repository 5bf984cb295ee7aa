"""Node fixes: what would have to be done to nodes that a pod may not use, so that it may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.outlook import Action, ActionKind
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import value_satisfies
from kai_sched.placement.rules.matching import (
    REPELLING_EFFECTS,
    SICK_TAINTS,
    UNSCHEDULABLE,
    tolerates,
)
from kai_sched.placement.rules.static import selector_requirements
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.horizon import Horizon
from kai_sched.planning.cycle_state import CycleState

_Fix = tuple[ActionKind, str, str]
_MOST_FIXES = 3
_MOST_NODES = 512
"""Of those that a pod may not use, so many are looked at."""


def node_fixes(state: CycleState, shapes: Mapping[Shape, int]) -> Iterator[tuple[Action, ...]]:
    """The fewest fixes of the fewest nodes that make room for what is missing of the bulkiest shape."""
    base = state.boards.world.base
    for shape, wanted in shapes.items():
        mask = base.static_mask(shape).allowed
        slots = state.boards.slots(shape, Horizon.NOW)
        missing = max(1, wanted - int(slots.sum()))
        columns = [column for column in np.flatnonzero(shape.request) if column not in _backed(state, shape)]
        by_fix: dict[tuple[_Fix, ...], list[tuple[int, NodeName]]] = {}
        for number in np.flatnonzero(~mask)[:_MOST_NODES]:
            node = base.table.nodes[number]
            room = min(
                (int(base.table.allocatable[number, column] // shape.request[column]) for column in columns),
                default=1,
            )
            fixes = _fixes(node, shape.spec) if room > 0 else None
            if fixes:
                by_fix.setdefault(fixes, []).append((room, node.name))
        for fixes, nodes in sorted(by_fix.items(), key=lambda item: (len(item[0]), str(item[0])))[:2]:
            chosen: list[NodeName] = []
            found = 0
            for room, name in sorted(nodes, key=lambda item: (-item[0], item[1])):
                if found >= missing:
                    break
                chosen.append(name)
                found += room
            yield tuple(
                Action(
                    kind=kind,
                    key=key,
                    value=value,
                    nodes=() if kind is ActionKind.DROP_SELECTOR else tuple(sorted(chosen)),
                )
                for kind, key, value in fixes
            )
        if by_fix:
            return


def _backed(state: CycleState, shape: Shape) -> set[int]:
    columns = state.boards.world.base.backing.columns
    return {columns[name] for name in shape.backed}


def _fixes(node: Node, spec: PodSpec) -> tuple[_Fix, ...] | None:
    """What keeps a pod off a node, each as its fix; None where something of it cannot be told."""
    found: list[_Fix] = []
    if node.is_cordoned and not tolerates(spec.tolerations, UNSCHEDULABLE):
        found.append((ActionKind.UNCORDON, "", ""))
    if not node.is_ready:
        found.append((ActionKind.REPAIR_NODES, "", ""))
    own = tuple(
        taint
        for taint in node.taints
        if taint.key != UNSCHEDULABLE.key and (node.is_ready or taint.key not in SICK_TAINTS)
    )
    found += (
        (ActionKind.REMOVE_TAINT, taint.key, taint.value)
        for taint in own
        if taint.effect in REPELLING_EFFECTS and not tolerates(spec.tolerations, taint)
    )
    requirements = list(selector_requirements(spec))
    affinity = spec.required_node_affinity
    if affinity is not None:
        if len(affinity.terms) != 1 or affinity.terms[0].fields:
            return None
        requirements += affinity.terms[0].expressions
    found += (
        (ActionKind.DROP_SELECTOR, requirement.key, "")
        for requirement in requirements
        if not value_satisfies(requirement, node.label(requirement.key))
    )
    return tuple(dict.fromkeys(found)) if len(found) <= _MOST_FIXES else None
