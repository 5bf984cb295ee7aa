"""Counterfactuals: the snapshot as it would be if others were gone, or if somebody took an action.

Snapshots are values, so "what if" is another snapshot and the same ``plan_cycle``. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from kai_sched.model.devices import Claim, ResourceSlice
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey, QueueName, Uid
from kai_sched.model.nodes import Node
from kai_sched.model.outlook import Action, ActionKind, Advice
from kai_sched.model.pods import PodTable
from kai_sched.model.queues import Queue, QueueResource, QuotaResource
from kai_sched.model.resources import amounts
from kai_sched.model.selectors import NodeSelectorTerm
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import HOLDS_ROOM, Pod, PodGroup, PodState, TopologyConstraint
from kai_sched.placement.rules.matching import SICK_TAINTS, UNSCHEDULABLE

HOSTNAME: Final = "kubernetes.io/hostname"
_GOING: Final = frozenset({PodState.RELEASING, PodState.STUCK_RELEASING})
_FREE: Final = QueueResource(deserved=0.0, over_quota_weight=1.0, limit=-1.0)


def group_of(pod: Pod) -> PodGroupKey:
    """The pod's group; a pod of another scheduler stands for itself."""
    return pod.group if pod.group is not None else PodGroupKey(pod.key)


def alone(snapshot: ClusterSnapshot, group: PodGroupKey) -> ClusterSnapshot:
    """The same fleet and queues with the pods of one group only, and what these hold already."""
    return _keeping(snapshot, lambda pod: pod.group == group and pod.state not in _GOING)


def waiting_only(snapshot: ClusterSnapshot, groups: Collection[PodGroupKey]) -> ClusterSnapshot:
    """The same fleet and queues with nothing running, and the waiting pods of these groups."""
    return _keeping(snapshot, lambda pod: pod.group in groups and pod.state not in HOLDS_ROOM)


def beside_running(snapshot: ClusterSnapshot, group: PodGroupKey) -> ClusterSnapshot:
    """Without the waiting pods of all other groups."""
    return _keeping(snapshot, lambda pod: pod.group == group or pod.state in HOLDS_ROOM)


def without(snapshot: ClusterSnapshot, groups: Collection[PodGroupKey]) -> ClusterSnapshot:
    """As if all pods of these groups had ended and were gone."""
    return _keeping(snapshot, lambda pod: group_of(pod) not in groups)


def applied(snapshot: ClusterSnapshot, group: PodGroupKey, advice: Advice) -> ClusterSnapshot | None:
    """The snapshot after every action of an advice for a group; None where one of them is for people only."""
    for action in advice.actions:
        change = _CHANGES.get(action.kind)
        if change is None:
            return None
        snapshot = change(snapshot, group, action)
    return snapshot


def _keeping(snapshot: ClusterSnapshot, stays: Callable[[Pod], bool]) -> ClusterSnapshot:
    pods = [pod for pod in snapshot.pods if stays(pod)]
    gone = {pod.uid for pod in snapshot.pods if not stays(pod)}
    named = {ref.claim for pod in pods for ref in pod.claims if ref.claim is not None}
    return replace(snapshot, pods=PodTable(pods), claims=tuple(_claims_without(snapshot.claims, gone, named)))


def _claims_without(
    claims: Iterable[Claim], gone: Collection[Uid], named: Collection[ClaimKey]
) -> Iterable[Claim]:
    """Consumers that are gone leave their claims; the last one takes the allocation with it."""
    for claim in claims:
        staying = tuple(consumer for consumer in claim.reserved_for if Uid(consumer.uid) not in gone)
        is_left = bool(claim.reserved_for) and not staying
        if claim.key not in named and (is_left or claim.owner_uid in gone):
            continue
        yield (
            replace(claim, allocation=None, reserved_for=())
            if is_left
            else replace(claim, reserved_for=staying)
        )


def _end_groups(snapshot: ClusterSnapshot, _: PodGroupKey, action: Action) -> ClusterSnapshot:
    return without(snapshot, frozenset(action.groups))


def _add_nodes(snapshot: ClusterSnapshot, _: PodGroupKey, action: Action) -> ClusterSnapshot:
    """Copies of a node with the devices that are published for it alone."""
    fleet = snapshot.fleet
    model = next(node for node in fleet.nodes if node.name == action.nodes[0])
    names = [NodeName(f"{model.name}-added-{number}") for number in range(round(action.amount))]
    nodes = [*fleet.nodes, *(_copy_of(model, name) for name in names)]
    slices = [
        *fleet.slices,
        *(
            _slice_for(one, model, name)
            for one in fleet.slices
            if one.node_name == model.name
            for name in names
        ),
    ]
    return _on_fleet(
        snapshot,
        nodes=tuple(sorted(nodes, key=lambda node: node.name)),
        slices=tuple(sorted(slices, key=lambda one: (one.driver, one.pool, one.name))),
    )


def _copy_of(model: Node, name: NodeName) -> Node:
    labels = tuple((key, name if key == HOSTNAME else value) for key, value in model.labels)
    return replace(model, name=name, labels=labels)


def _slice_for(published: ResourceSlice, model: Node, name: NodeName) -> ResourceSlice:
    pool = name if published.pool == model.name else f"{published.pool}-{name}"
    return replace(published, name=f"{published.name}-{name}", pool=pool, node_name=name)


def _change_nodes(change: Callable[[Node, Action], Node]) -> _Change:
    def changed(snapshot: ClusterSnapshot, _: PodGroupKey, action: Action) -> ClusterSnapshot:
        nodes = (change(node, action) if node.name in action.nodes else node for node in snapshot.fleet.nodes)
        return _on_fleet(snapshot, nodes=tuple(nodes))

    return changed


def _untainted(node: Node, action: Action) -> Node:
    return replace(node, taints=tuple(taint for taint in node.taints if taint.key != action.key))


def _repaired(node: Node, _: Action) -> Node:
    return replace(
        node, is_ready=True, taints=tuple(taint for taint in node.taints if taint.key not in SICK_TAINTS)
    )


def _uncordoned(node: Node, _: Action) -> Node:
    taints = tuple(taint for taint in node.taints if taint.key != UNSCHEDULABLE.key)
    return replace(node, is_cordoned=False, taints=taints)


def _on_fleet(
    snapshot: ClusterSnapshot, *, nodes: tuple[Node, ...], slices: tuple[ResourceSlice, ...] | None = None
) -> ClusterSnapshot:
    """Another fleet: version 0 is kept by nobody."""
    fleet = snapshot.fleet
    slices = fleet.slices if slices is None else slices
    return replace(snapshot, fleet=replace(fleet, version=0, nodes=nodes, slices=slices))


def _raise_limit(snapshot: ClusterSnapshot, _: PodGroupKey, action: Action) -> ClusterSnapshot:
    return _changing_queue(snapshot, action, lambda bounds: replace(bounds, limit=action.amount))


def _raise_quota(snapshot: ClusterSnapshot, _: PodGroupKey, action: Action) -> ClusterSnapshot:
    return _changing_queue(snapshot, action, lambda bounds: replace(bounds, deserved=action.amount))


def _changing_queue(
    snapshot: ClusterSnapshot, action: Action, change: Callable[[QueueResource], QueueResource]
) -> ClusterSnapshot:
    def changed(queue: Queue) -> Queue:
        match QuotaResource(action.resource):
            case QuotaResource.GPU:
                return replace(queue, gpu=change(queue.gpu))
            case QuotaResource.CPU:
                return replace(queue, cpu=change(queue.cpu))
            case QuotaResource.MEMORY:
                return replace(queue, memory=change(queue.memory))

    queues = (changed(queue) if queue.name == action.queue else queue for queue in snapshot.queues)
    return replace(snapshot, queues=tuple(queues))


def _create_queue(snapshot: ClusterSnapshot, _: PodGroupKey, action: Action) -> ClusterSnapshot:
    made = Queue(
        name=QueueName(action.queue or ""),
        uid=Uid(f"made-{action.queue}"),
        gpu=_FREE,
        cpu=_FREE,
        memory=_FREE,
    )
    queues = [queue for queue in snapshot.queues if queue.name != made.name]
    return replace(snapshot, queues=tuple(sorted([*queues, made], key=lambda queue: queue.name)))


def _change_group(change: Callable[[PodGroup, Action], PodGroup]) -> _Change:
    def changed(snapshot: ClusterSnapshot, group: PodGroupKey, action: Action) -> ClusterSnapshot:
        groups = (change(one, action) if one.key == group else one for one in snapshot.pod_groups)
        return replace(snapshot, pod_groups=tuple(groups))

    return changed


def _relaxed(group: PodGroup, action: Action) -> PodGroup:
    if not action.key:
        return replace(group, constraint=_preferring(group.constraint))
    return replace(
        group,
        sub_groups=tuple(
            replace(one, constraint=_preferring(one.constraint)) if one.name == action.key else one
            for one in group.sub_groups
        ),
    )


def _preferring(constraint: TopologyConstraint | None) -> TopologyConstraint | None:
    if constraint is None:
        return None
    level = constraint.preferred_level or constraint.required_level
    return replace(constraint, required_level="", preferred_level=level)


def _ask_for_less(snapshot: ClusterSnapshot, group: PodGroupKey, action: Action) -> ClusterSnapshot:
    """Every waiting pod of the group that asks for more asks for so much."""
    if action.key:
        return _ask_for_fewer_devices(snapshot, group, action)

    def lowered(pod: Pod) -> Pod:
        asked = dict(pod.spec.requests)
        if asked.get(action.resource, 0) <= action.amount:
            return pod
        requests = amounts({**asked, action.resource: round(action.amount)})
        extended = tuple(
            replace(one, count=round(action.amount)) if one.resource == action.resource else one
            for one in pod.spec.extended
        )
        return replace(pod, spec=replace(pod.spec, requests=requests, extended=extended))

    return _changing_pods(snapshot, group, lowered)


def _ask_for_fewer_devices(snapshot: ClusterSnapshot, group: PodGroupKey, action: Action) -> ClusterSnapshot:
    named = {ref.claim for pod in snapshot.pods if pod.group == group for ref in pod.claims}

    def lowered(claim: Claim) -> Claim:
        requests = tuple(
            replace(one, count=min(one.count, round(action.amount))) if one.name == action.key else one
            for one in claim.spec.requests
        )
        return replace(claim, spec=replace(claim.spec, requests=requests))

    claims = (lowered(claim) if claim.key in named else claim for claim in snapshot.claims)
    return replace(snapshot, claims=tuple(claims))


def _drop_selector(snapshot: ClusterSnapshot, group: PodGroupKey, action: Action) -> ClusterSnapshot:
    def dropped(term: NodeSelectorTerm) -> NodeSelectorTerm:
        return replace(term, expressions=tuple(one for one in term.expressions if one.key != action.key))

    def freed(pod: Pod) -> Pod:
        affinity = pod.spec.required_node_affinity
        terms = [dropped(term) for term in affinity.terms] if affinity is not None else []
        is_free = any(not term.expressions and not term.fields for term in terms)
        spec = replace(
            pod.spec,
            node_selector=tuple(entry for entry in pod.spec.node_selector if entry[0] != action.key),
            required_node_affinity=None
            if is_free or affinity is None
            else replace(affinity, terms=tuple(terms)),
        )
        return replace(pod, spec=spec)

    return _changing_pods(snapshot, group, freed)


def _ungate(snapshot: ClusterSnapshot, group: PodGroupKey, _: Action) -> ClusterSnapshot:
    return _changing_pods(
        snapshot,
        group,
        lambda pod: replace(pod, state=PodState.PENDING) if pod.state is PodState.GATED else pod,
    )


def _create_pods(snapshot: ClusterSnapshot, group: PodGroupKey, action: Action) -> ClusterSnapshot:
    members: Sequence[Pod] = [pod for pod in snapshot.pods if pod.group == group]
    model = next((pod for pod in members if pod.subgroup == action.key), members[0])
    made = [
        replace(
            model,
            key=PodKey(f"{model.key}-made-{number}"),
            uid=Uid(f"{model.uid}-made-{number}"),
            state=PodState.PENDING,
            node=None,
            subgroup=action.key,
        )
        for number in range(round(action.amount))
    ]
    return replace(snapshot, pods=PodTable.sorted_by_key([*snapshot.pods, *made]))


def _changing_pods(
    snapshot: ClusterSnapshot, group: PodGroupKey, change: Callable[[Pod], Pod]
) -> ClusterSnapshot:
    pods = (change(pod) if pod.group == group and pod.node is None else pod for pod in snapshot.pods)
    return replace(snapshot, pods=PodTable(pods))


_Change = Callable[[ClusterSnapshot, PodGroupKey, Action], ClusterSnapshot]

_CHANGES: Final[dict[ActionKind, _Change]] = {
    ActionKind.END_GROUPS: _end_groups,
    ActionKind.ADD_NODES: _add_nodes,
    ActionKind.REPAIR_NODES: _change_nodes(_repaired),
    ActionKind.UNCORDON: _change_nodes(_uncordoned),
    ActionKind.REMOVE_TAINT: _change_nodes(_untainted),
    ActionKind.DROP_SELECTOR: _drop_selector,
    ActionKind.RAISE_LIMIT: _raise_limit,
    ActionKind.RAISE_QUOTA: _raise_quota,
    ActionKind.CREATE_QUEUE: _create_queue,
    ActionKind.MAKE_PREEMPTIBLE: _change_group(lambda group, _: replace(group, is_preemptible=True)),
    ActionKind.RELAX_LEVEL: _change_group(_relaxed),
    ActionKind.LOWER_MINIMUM: _change_group(
        lambda group, action: replace(group, min_member=round(action.amount))
    ),
    ActionKind.ASK_FOR_LESS: _ask_for_less,
    ActionKind.CREATE_PODS: _create_pods,
    ActionKind.UNGATE: _ungate,
}
"""What an action does to a snapshot; kinds that are not here are for people."""
