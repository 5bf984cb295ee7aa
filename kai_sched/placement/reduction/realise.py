"""Realise: an arrangement in counts, seated on nodes with all rules, in a world without its tenants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kai_sched.placement.reduction.pieces import seat_pieces
from kai_sched.placement.reduction.reduction import Reduction
from kai_sched.placement.reduction.tenants import Tenant, is_arrangeable
from kai_sched.placement.seating.pods import seat_pods
from kai_sched.placement.solver.aggregate import AggregatedProblem, Arrangement
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.world import World

NODES_BY_THEMSELVES = 32
"""Fleets up to this size can be looked at node by node."""


def seat_nodes(world: World) -> dict[int, int]:
    """Node index of every pod seated now (pipelined ones left out)."""
    return {seat.pod: seat.node for seat in world.seats if seat.horizon is Horizon.NOW}


def movable_of(boards: Boards, tenants: Sequence[Tenant]) -> list[Tenant]:
    """Tenants that may be rearranged: seated now, and arrangeable by counting."""
    nodes = seat_nodes(boards.world)
    return [
        tenant
        for tenant in tenants
        if all(pod in nodes for pod in tenant.pods) and is_arrangeable(boards, tenant)
    ]


def prefers_nodes(boards: Boards, tenant: Tenant) -> bool:
    """Whether preferences say where the tenant's pods are best."""
    base = boards.world.base
    return any(boards.has_soft_score(shape) for shape in {base.shape_of(pod) for pod in tenant.pods})


def without(boards: Boards, tenants: Sequence[Tenant]) -> Boards:
    """Boards over a fork of the world from which the tenants are withdrawn."""
    world = boards.world.fork()
    world.withdraw({pod for tenant in tenants for pod in tenant.pods})
    return Boards(world)


def realise(bare: Boards, reduction: Reduction, arrangement: Arrangement) -> bool:
    """Seat every pod of the arrangement in a world from which its tenants were withdrawn; False: it does not work."""
    base = bare.world.base
    pods_of_unit: dict[int, list[int]] = {}
    for key, members in sorted(reduction.pods.items()):
        waiting = iter(members)
        for unit, count in arrangement.pods[key]:
            pods_of_unit.setdefault(unit, []).extend(next(waiting) for _ in range(count))
    for unit, pods in sorted(pods_of_unit.items()):
        mask = np.zeros(len(bare.world.base.all_nodes), dtype=bool)
        mask[reduction.nodes[unit]] = True
        cut = [pod for pod in pods if base.shape_of(pod).pieces is not None]
        chosen = {
            group: patterns for (owner, group), patterns in arrangement.patterns.items() if owner == unit
        }
        if cut and not seat_pieces(bare, cut, reduction.pieces.boxes[unit], chosen, reduction.pieces.keys):
            return False
        others = [pod for pod in pods if base.shape_of(pod).pieces is None]
        if seat_pods(Ground(bare, allowed=mask), others) < len(others):
            return False
    return True


def size_of(problem: AggregatedProblem) -> int:
    """About how many variables a model of the problem has."""
    return sum(len(group.patterns) for unit in problem.units for group in unit.boxes) + sum(
        sum(unit.most[role.shape] > 0 for unit in problem.units) * (1 + len(item.scopes))
        for item in problem.items
        for role in item.roles
    )
