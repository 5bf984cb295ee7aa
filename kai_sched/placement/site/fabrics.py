"""Fabrics: pods whose claims join one multi-node fabric (a compute domain) must lie in one NVLink domain.

The driver that serves such claims publishes nothing about cliques, so the rule is ours. A fabric is known by the
opaque configuration that all its claims carry; its home is the clique of the pods that run in it or have a place.
Where no node names its clique there is nothing to keep to, and the rule is idle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey
from kai_sched.model.workloads import Pod, TopologyConstraint
from kai_sched.placement.gangs import Gang, GangNode

Fabric = tuple[str, str]
"""(driver, parameters of the claims' configuration)."""
FabricOf = Mapping[ClaimKey, Fabric]


def fabrics_of(claims: Iterable[Claim], drivers: Sequence[str]) -> dict[ClaimKey, Fabric]:
    """The fabric that each claim joins; claims that join none are left out."""
    wanted = set(drivers)
    found: dict[ClaimKey, Fabric] = {}
    for claim in claims:
        for config in claim.spec.configs:
            if config.driver in wanted:
                found.setdefault(claim.key, (config.driver, config.parameters))
    return found


def fabric_of_pod(pod: Pod, fabric_of: FabricOf) -> Fabric | None:
    """The fabric that a pod joins, the first one if its claims name several."""
    if not fabric_of:
        return None
    keys = (ref.claim for ref in pod.claims if ref.claim is not None)
    return next((fabric_of[key] for key in keys if key in fabric_of), None)


def bound_by_fabric(gang: Gang, pods: Sequence[Pod], fabric_of: FabricOf, clique_label: str) -> Gang:
    """The gang with a required clique around every largest part of it that is all of one fabric."""
    if not any(pods[position].claims for position in gang.pending_pods()):
        return gang
    if not any(fabric_of_pod(pods[position], fabric_of) for position in gang.pending_pods()):
        return gang
    return replace(gang, root=_bound(gang.root, pods, fabric_of, clique_label))


def _bound(node: GangNode, pods: Sequence[Pod], fabric_of: FabricOf, clique_label: str) -> GangNode:
    inside = {fabric_of_pod(pods[p], fabric_of) for leaf in node.leaves() for p in leaf.pending}
    if len(inside) == 1 and None not in inside:
        clique = TopologyConstraint("", clique_label, "")
        if node.constraint is None:
            return replace(node, constraint=clique)
        return GangNode(
            name=node.name,
            constraint=clique,
            children=(node,),
            need_children=1,
            active_on=node.active_on,
        )
    children = tuple(_bound(child, pods, fabric_of, clique_label) for child in node.children)
    return replace(node, children=children)


def mixed_fabrics(
    pods: Sequence[Pod], wanted: AbstractSet[int], fabric_of: FabricOf
) -> dict[Fabric, list[int]]:
    """Fabrics of which some of the wanted pods are, while others are not; with those pods."""
    members: dict[Fabric, list[int]] = {}
    for position in sorted(wanted):
        fabric = fabric_of_pod(pods[position], fabric_of)
        if fabric is not None:
            members.setdefault(fabric, []).append(position)
    return {fabric: found for fabric, found in members.items() if len(found) < len(wanted)}
