"""Demand: which pod groups are considered this cycle, and a verdict at once for those that cannot be.

Order of the tests: what is wrong with the object itself, then its queue, then what nobody can honour, then whether
enough of its pods exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import PodGroupKey, QueueName, Uid
from kai_sched.model.plan import Blocker, Contained, Outcome, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.rests import Rest
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, GroupOrigin, Pod, PodGroup, PodState, TopologyConstraint
from kai_sched.placement.gangs import Gang, build_gang, leaf_names, leaf_of
from kai_sched.placement.site.fabrics import FabricOf, bound_by_fabric
from kai_sched.planning.missing_pods import Outsiders, beyond_its_subgroups, lack_of
from kai_sched.planning.namespaces import Namespaces
from kai_sched.planning.readiness import ClaimReadiness
from kai_sched.planning.turns import failure
from kai_sched.topology.domains import DomainIndex

WAITING = (PodState.PENDING, PodState.GATED)
_NAME_A_SUBGROUP = "name a subgroup in the pod's label kai.scheduler/subgroup-name, or add it to the PodGroup"
MAKE_THE_QUEUE: Final = "create it, or name another"
COMPLETE_IT: Final = "create the missing pods, or remove their scheduling gates"
"""Next steps that ``outlook`` says in figures where it can."""


def members_by_group(snapshot: ClusterSnapshot) -> dict[PodGroupKey, list[int]]:
    """Positions of the pods of every group that has a waiting pod."""
    waiting = {pod.group for pod in snapshot.pods if pod.group is not None and pod.state in WAITING}
    members: dict[PodGroupKey, list[int]] = {}
    for position, pod in enumerate(snapshot.pods):
        if pod.group in waiting and pod.group is not None:
            members.setdefault(pod.group, []).append(position)
    return members


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a snapshot besides its objects."""

    tree: QueueTree
    domains: DomainIndex
    claims: ClaimReadiness
    outsiders: Outsiders
    namespaces: Namespaces


@dataclass(slots=True)
class Demand:
    """What the groups with a waiting pod come to, in key order."""

    gangs: list[Gang] = field(default_factory=list)
    early: list[Verdict] = field(default_factory=list)
    """Of groups that are not considered this cycle."""
    contained: list[Contained] = field(default_factory=list)


def select_demand(
    snapshot: ClusterSnapshot,
    policy: Policy,
    tree: QueueTree,
    domains: DomainIndex,
    fabric_of: FabricOf,
) -> Demand:
    """Gangs to consider, and early verdicts for the others with a waiting pod."""
    groups = {group.key: group for group in snapshot.pod_groups}
    damage = {
        (found.kind, found.key): ": ".join(filter(None, (found.field, found.reason)))
        for found in snapshot.unreadable
    }
    rests = {rest.pod_group: rest for rest in snapshot.rests}
    outsiders = Outsiders(snapshot.pods, policy.scheduler_name)
    facts = _Facts(tree, domains, ClaimReadiness(snapshot), outsiders, Namespaces(snapshot.fleet, tree))
    demand = Demand()
    waiting = members_by_group(snapshot)
    for key, members in sorted(waiting.items()):
        group = groups.get(key) or _missing_group(key, snapshot.pods[members[0]], policy)
        try:
            # The tree of a group that is wrong is not built: it may be what is wrong.
            shape = replace(group, sub_groups=(), min_sub_group=None) if group.problem else group
            gang = build_gang(shape, members, snapshot.pods, facts.claims.is_placeable)
            verdict = _refuse_unreadable(gang, damage) or _refuse_early(
                gang, members, snapshot, policy, facts
            )
            if verdict is None and key in rests:
                verdict = resting(group, rests[key])
            if verdict is None:
                demand.gangs.append(bound_by_fabric(gang, snapshot.pods, fabric_of, policy.clique_label))
            else:
                demand.early.append(verdict)
        except Exception as error:  # noqa: BLE001 — a mistake of ours about one group is no other's
            kind = type(error).__name__
            demand.contained.append(Contained(key, kind))
            demand.early.append(_failed(group, kind))
    # Pods whose binding is tried once more wait as well, though they hold their room.
    demand.early += [
        resting(groups[key], rest)
        for key, rest in rests.items()
        if rest.keeps_room and key in groups and key not in waiting
    ]
    return demand


def _failed(group: PodGroup, error: str) -> Verdict:
    refusal = failure(error)
    return Verdict(
        pod_group=group.key,
        queue=group.queue,
        outcome=Outcome.UNPLACED,
        blocker=refusal.blocker,
        message=refusal.message,
        next_step=refusal.next_step,
    )


def resting(group: PodGroup, rest: Rest) -> Verdict:
    return Verdict(
        pod_group=group.key,
        queue=group.queue,
        outcome=Outcome.UNPLACED,
        blocker=Blocker.DELAYED,
        message=rest.reason,
        next_step=rest.next_step,
    )


def _missing_group(key: PodGroupKey, pod: Pod, policy: Policy) -> PodGroup:
    return PodGroup(
        key=key,
        uid=Uid(""),
        queue=QueueName(policy.default_queue),
        origin=GroupOrigin.MISSING,
        created_at=pod.created_at,
    )


def _refuse_early(
    gang: Gang,
    members: Sequence[int],
    snapshot: ClusterSnapshot,
    policy: Policy,
    facts: _Facts,
) -> Verdict | None:
    pods = [snapshot.pods[position] for position in members]
    return (
        _refuse_object(gang, pods)
        or _refuse_queue(gang, facts.tree, dict(snapshot.queues_elsewhere), policy)
        or _refuse_namespace(gang, facts.namespaces)
        or _refuse_again(gang, policy)
        or _refuse_topology(gang, facts.domains)
        or _refuse_fields(gang, pods, policy)
        or _refuse_readiness(gang, pods, facts)
    )


def _refuse_unreadable(gang: Gang, damage: Mapping[tuple[str, str], str]) -> Verdict | None:
    """An object that exists and cannot be read is wrong, not missing."""
    group = gang.group
    text = damage.get(("PodGroup", group.key), "") if group.origin is GroupOrigin.MISSING else ""
    if text:
        return _unplaced(gang, Blocker.INVALID, text, "correct the PodGroup")
    if text := damage.get(("Queue", group.queue), ""):
        return _unplaced(gang, Blocker.INVALID, f"queue {group.queue}: {text}", "correct the queue")
    return None


def _refuse_object(gang: Gang, pods: Sequence[Pod]) -> Verdict | None:
    group = gang.group
    match group.origin:
        case GroupOrigin.UNKNOWN_KIND:
            return _unplaced(
                gang,
                Blocker.UNKNOWN_WORKLOAD_KIND,
                f"pods are controlled by {group.detail}, a kind without a grouper: scheduling them singly "
                "would break its gang",
                "create a PodGroup and name it in the pods' annotation pod-group-name",
            )
        case GroupOrigin.AWAITED:
            return _not_ready(
                gang,
                f"{group.detail}, which controls its pods, was not seen: what they are to each other is not known yet",
                f"wait until {group.detail} is there; to a snapshot file add it",
            )
        case GroupOrigin.MISSING:
            why = group.detail or f"pod group {group.key} does not exist"
            return _not_ready(gang, why, "create the PodGroup")
        case _:
            pass
    if group.problem:
        return _unplaced(gang, Blocker.INVALID, group.problem, "correct the PodGroup")
    for pod in pods:
        if pod.problem and pod.state in WAITING:
            return _unplaced(
                gang, Blocker.INVALID, f"pod {pod.key}: {pod.problem}", "correct and recreate the pod"
            )
    return None


def _refuse_queue(
    gang: Gang, tree: QueueTree, elsewhere: Mapping[QueueName, str], policy: Policy
) -> Verdict | None:
    queue = gang.group.queue
    if queue in elsewhere and queue not in tree.queues:
        return _unplaced(
            gang,
            Blocker.QUEUE_NOT_FOUND,
            f"queue {queue!r} is in node pool {elsewhere[queue]}, the workload in node pool {policy.node_pool}",
            f"name a queue of node pool {policy.node_pool}, or move the workload by label {policy.partition_label}",
        )
    if queue in tree.problems:
        return _unplaced(gang, Blocker.INVALID, f"queue {queue}: {tree.problems[queue]}", "correct the queue")
    if queue not in tree.queues:
        return _unplaced(gang, Blocker.QUEUE_NOT_FOUND, f"queue {queue!r} does not exist", MAKE_THE_QUEUE)
    if not tree.is_leaf(queue):
        return _unplaced(
            gang,
            Blocker.QUEUE_NOT_FOUND,
            f"queue {queue!r} has child queues: only leaf queues hold workloads",
            "name one of its children",
        )
    return None


def _refuse_namespace(gang: Gang, namespaces: Namespaces) -> Verdict | None:
    group, queue = gang.group.key, gang.group.queue
    barring = namespaces.barred_by(group, queue)
    if barring is None:
        return None
    return _unplaced(
        gang,
        Blocker.QUEUE_NOT_FOUND,
        f"queue {queue!r} is not for namespace {group.partition('/')[0]}: the namespaceSelector of queue {barring!r} does "
        "not match its labels",
        "name a queue that the namespace may use, or have the administrator label the namespace",
    )


def _refuse_again(gang: Gang, policy: Policy) -> Verdict | None:
    if not gang.group.given_up_on or gang.group.given_up_on != policy.node_pool:
        return None
    return _unplaced(
        gang,
        Blocker.DELAYED,
        f"not tried again: it could not be scheduled on node pool {policy.node_pool}, and its schedulingBackoff is "
        f"{gang.group.scheduling_backoff}",
        "move it to another node pool, or set its schedulingBackoff to -1",
    )


def _refuse_topology(gang: Gang, domains: DomainIndex) -> Verdict | None:
    for path, constraint in _constraints(gang.group):
        for level in (constraint.required_level, constraint.preferred_level):
            problem = domains.problem(constraint.topology, level) if level else ""
            if problem:
                return _unplaced(
                    gang, Blocker.INVALID, f"{path}: {problem}", "name an existing topology and level"
                )
    return None


def _constraints(group: PodGroup) -> Iterator[tuple[str, TopologyConstraint]]:
    if group.constraint is not None:
        yield "spec.topologyConstraint", group.constraint
    for index, subgroup in enumerate(group.sub_groups):
        if subgroup.constraint is not None:
            yield f"spec.subGroups[{index}].topologyConstraint", subgroup.constraint


def _refuse_fields(gang: Gang, pods: Sequence[Pod], policy: Policy) -> Verdict | None:
    for pod in pods:
        if pod.state not in WAITING:
            continue
        if pod.spec.unsupported:
            return _unplaced(
                gang,
                Blocker.UNSUPPORTED,
                f"pod {pod.key}: {pod.spec.unsupported[0]}",
                "remove the field, or run the pod with another scheduler",
            )
        if pod.spec.gpu_share is not None and not policy.sharing_enabled:
            return _unplaced(
                gang,
                Blocker.SHARING_NOT_ENABLED,
                f"pod {pod.key} asks for a part of a GPU, which is not enabled in this cluster",
                "ask for whole GPUs, or have the administrator enable GPU sharing",
            )
    return None


def _refuse_readiness(gang: Gang, pods: Sequence[Pod], facts: _Facts) -> Verdict | None:
    claims = facts.claims
    if gang.root.is_ready and gang.pending_pods():
        return None
    gated = [pod for pod in pods if pod.state is PodState.GATED]
    unmade = next(
        (lack for pod in pods if pod.state is PodState.PENDING and (lack := claims.missing(pod))), ""
    )
    if unmade and not gated:
        return _not_ready(gang, unmade, "wait for the resourceclaim controller, or create the claim anew")
    spoilt = next((why for pod in pods if pod.state is PodState.PENDING and (why := claims.spoilt(pod))), "")
    if spoilt and not gated:
        return _unplaced(
            gang, Blocker.DEVICES, spoilt, "repair the device, or let the claim tolerate the taint"
        )
    if (impossible := beyond_its_subgroups(gang.root)) is not None:
        return _not_ready(gang, *impossible)
    leaves = leaf_names(gang.group)
    belonging = [pod for pod in pods if leaf_of(pod, leaves) is not None]
    if gang.stray and not any(pod.state in WAITING for pod in belonging):
        return _not_ready(gang, gang.stray, _NAME_A_SUBGROUP)
    existing = sum(pod.state in WAITING or pod.state in ACTIVE for pod in belonging)
    gates = sum(pod.state is PodState.GATED for pod in belonging)
    message = (
        f"Job is not ready for scheduling. Waiting for {gang.root.needed_pods} pods, "
        f"currently {existing} exist, {gates} are gated"
    )
    outside, next_step = facts.outsiders.told(gang.group.key)
    return _not_ready(
        gang,
        "; ".join(filter(None, (message, lack_of(gang.root), outside, gang.stray))),
        next_step or COMPLETE_IT,
    )


def _not_ready(gang: Gang, message: str, next_step: str) -> Verdict:
    return Verdict(
        pod_group=gang.group.key,
        queue=gang.group.queue,
        outcome=Outcome.NOT_READY,
        blocker=Blocker.GANG_NOT_READY,
        message=message,
        next_step=next_step,
        is_proof=True,
    )


def _unplaced(gang: Gang, blocker: Blocker, message: str, next_step: str = "") -> Verdict:
    """A verdict for a gang that placement never saw."""
    return Verdict(
        pod_group=gang.group.key,
        queue=gang.group.queue,
        outcome=Outcome.UNPLACED,
        blocker=blocker,
        message=message,
        next_step=next_step,
        is_proof=True,
    )
