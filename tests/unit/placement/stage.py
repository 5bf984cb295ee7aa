"""A world with its boards and gangs, for tests that ask one module of placement at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.ids import PodGroupKey, PodKey
from kai_sched.model.nodes import Node
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodState
from kai_sched.placement.gangs import Gang, build_gang
from kai_sched.placement.reduction.tenants import Tenant
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.build import build_world
from kai_sched.placement.world.ground import Ground
from kai_sched.placement.world.horizon import Horizon
from kai_sched.placement.world.room import Seat
from kai_sched.placement.world.world import World
from tests.builders import a_group, a_pod, a_snapshot, a_spec

GREEDY = Policy(use_solver=False, advice_units=0)


@dataclass
class Stage:
    """Over one snapshot; pods and gangs are called by their names in namespace ``team``."""

    snapshot: ClusterSnapshot
    policy: Policy = GREEDY
    cache: FleetCache = field(default_factory=FleetCache)

    @cached_property
    def world(self) -> World:
        return build_world(self.snapshot, self.policy, self.cache)

    @cached_property
    def boards(self) -> Boards:
        return Boards(self.world)

    @property
    def ground(self) -> Ground:
        return Ground(self.boards)

    def pod(self, name: str) -> int:
        """Its position."""
        return next(at for at, pod in enumerate(self.snapshot.pods) if pod.key == PodKey(f"team/{name}"))

    def shape(self, name: str) -> Shape:
        return self.world.base.shape_of(self.pod(name))

    def node(self, name: str) -> int:
        return self.world.base.table.index_of[name]  # type: ignore[index]

    def nodes(self, *names: str) -> NDArray[np.bool_]:
        """These nodes as a mask."""
        mask = np.zeros(len(self.world.base.all_nodes), dtype=bool)
        mask[[self.node(name) for name in names]] = True
        return mask

    def gang(self, name: str) -> Gang:
        key = PodGroupKey(f"team/{name}")
        group = next(group for group in self.snapshot.pod_groups if group.key == key)
        members = [at for at, pod in enumerate(self.snapshot.pods) if pod.group == key]
        return build_gang(group, members, self.snapshot.pods, lambda pod: pod.state is PodState.PENDING)

    def tenant(self, name: str) -> Tenant:
        gang = self.gang(name)
        return Tenant(gang, gang.pending_pods())

    def seat(self, name: str, node: str, horizon: Horizon = Horizon.NOW) -> Seat:
        found = self.world.take(self.pod(name), self.shape(name), self.node(node), horizon)
        assert isinstance(found, Seat), found
        return found

    def slots(self, name: str, horizon: Horizon = Horizon.NOW) -> dict[str, int]:
        """Node -> how many pods like this one it takes."""
        found = self.boards.slots(self.shape(name), horizon).tolist()
        return {node.name: count for node, count in zip(self.world.base.table.nodes, found, strict=True)}

    def seated(self) -> dict[str, str]:
        """Pod -> node, of all seats."""
        names = self.world.base.table.nodes
        return {
            self.snapshot.pods[seat.pod].key.split("/")[1]: str(names[seat.node].name)
            for seat in self.world.seats
        }


def gangs_on(nodes: Iterable[Node], **gangs: tuple[int, int, str]) -> Stage:
    """A stage with these gangs waiting: name -> (pods, GPUs of each, required level)."""
    pods = [
        a_pod(f"{name}-{number}", a_spec(gpus=gpus), group=name)
        for name, (count, gpus, _) in gangs.items()
        for number in range(count)
    ]
    groups = [a_group(name, min_member=count, required=level) for name, (count, _, level) in gangs.items()]
    return Stage(a_snapshot(nodes=nodes, pods=pods, groups=groups))
