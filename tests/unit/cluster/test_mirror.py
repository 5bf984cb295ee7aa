"""The mirror against the careful reading of the same objects, and what wakes a decision."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api import kinds
from kai_sched.api.kinds import kind_of
from kai_sched.api.membership import Grouping
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.cluster.mirror import Mirror
from kai_sched.cluster.sightings import ChangeKind
from kai_sched.model.commands import BindGang
from kai_sched.model.devices import ClaimAllocation, ClaimSpec, DeviceResult
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey, Uid
from kai_sched.model.plan import ClaimCreation, ClaimPlacement, Placement
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import PodState
from tests.documents import a_pod_group_document
from tests.unit.cluster.raw import raw_claim, raw_node, raw_other, raw_pod

NOW = 1_764_036_000.0
POLICY = Policy()


def _tell(mirror: Mirror, *objects, event_type: str = "MODIFIED") -> None:
    for raw in objects:
        mirror.event(kind_of(raw), event_type, raw)


def _mirror(*objects) -> Mirror:
    mirror = Mirror()
    _tell(mirror, *objects)
    mirror.take_dirty()
    return mirror


def _wakes(mirror: Mirror, *objects, event_type: str = "MODIFIED") -> bool:
    mirror.take_dirty()
    _tell(mirror, *objects, event_type=event_type)
    return mirror.wake.is_set()


def _read_with_care(objects, policy: Policy = POLICY):
    """The snapshot by the other way: from all objects at once."""
    return snapshot_of(ObjectSet(objects), now=NOW, policy=policy, group=lambda _objects, _policy: Grouping())


def _same(mirror: Mirror, objects, policy: Policy = POLICY) -> None:
    ours, theirs = mirror.snapshot(NOW, policy), _read_with_care(objects, policy)
    fleet = replace(theirs.fleet, version=ours.fleet.version)
    assert ours == replace(theirs, fleet=fleet, config_maps=theirs.config_maps or frozenset())


def _bind(*pods: str, node: str = "n1") -> BindGang:
    group = PodGroupKey("team/g")
    placements = tuple(
        Placement(pod=PodKey(f"team/{pod}"), uid=Uid(f"uid-{pod}"), pod_group=group, node=NodeName(node))
        for pod in pods
    )
    return BindGang(pod_group=group, placements=placements, already_bound=0)


QUEUE = raw_other(
    "scheduling.run.ai/v2", "Queue", "q", spec={"resources": {"gpu": {"quota": 4, "limit": -1}}}
)
WORLD = (
    raw_other(
        "v1", "Namespace", "team", metadata={"labels": {"resource.kubernetes.io/admin-access": "true"}}
    ),
    raw_other("scheduling.k8s.io/v1", "PriorityClass", "high", value=900),
    raw_node("n1"),
    raw_node("n2", unschedulable=True),
    raw_other(
        "storage.k8s.io/v1", "CSINode", "n1", spec={"drivers": [{"name": "d", "allocatable": {"count": 8}}]}
    ),
    raw_other("storage.k8s.io/v1", "CSIDriver", "disk", spec={"storageCapacity": True}),
    raw_other("storage.k8s.io/v1", "StorageClass", "fast", provisioner="disk"),
    raw_other("v1", "ConfigMap", "settings", namespace="team"),
    raw_other("resource.k8s.io/v1", "DeviceClass", "gpu", spec={}),
    raw_other(
        "resource.k8s.io/v1",
        "ResourceSlice",
        "s1",
        spec={
            "driver": "d",
            "nodeName": "n1",
            "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1},
        },
    ),
    raw_other("kai.scheduler/v1alpha1", "Topology", "racks", spec={"levels": [{"nodeLabel": "rack"}]}),
    QUEUE,
    raw_other(
        "scheduling.run.ai/v2alpha2",
        "PodGroup",
        "g",
        namespace="team",
        spec={"queue": "q", "minMember": 2, "priorityClassName": "high"},
    ),
    raw_claim("c", devices=["gpu-0"], consumers=["a"]),
    raw_pod("a", node="n1", phase="Running", annotations={"pod-group-name": "g"}),
    raw_pod("b", annotations={"pod-group-name": "g"}),
    raw_pod("c", deletionTimestamp="2026-11-25T00:00:00Z", node="n2"),
    raw_pod("other", scheduler="default-scheduler", node="n1", phase="Running"),
)


@given(st.permutations(WORLD))
def test_whatever_order_objects_come_in_the_snapshot_is_that_of_all_at_once(order):
    _same(_mirror(*order), WORLD)


@given(st.lists(st.sampled_from(WORLD), max_size=30), st.permutations(WORLD))
def test_deletions_and_returns_leave_the_snapshot_of_what_exists(deleted, order):
    mirror = _mirror(*order)
    gone = {(raw["kind"], raw["metadata"]["name"]) for raw in deleted}
    _tell(mirror, *deleted, event_type="DELETED")

    _same(mirror, [raw for raw in WORLD if (raw["kind"], raw["metadata"]["name"]) not in gone])

    returned = [dict(raw, metadata={**raw["metadata"], "resourceVersion": "9"}) for raw in deleted]
    _tell(mirror, *returned)
    known = {(raw["kind"], raw["metadata"]["name"]): raw for raw in (*WORLD, *returned)}
    _same(mirror, list(known.values()))


def test_a_shard_sees_its_own_nodes_queues_and_pods_and_strangers_that_take_room():
    label = {"kai.scheduler/node-pool": "blue"}
    blue = raw_node("n3")
    blue["metadata"]["labels"] |= label
    queue = raw_other(
        "scheduling.run.ai/v2", "Queue", "bq", metadata={"labels": label}, spec={"resources": {}}
    )
    objects = (*WORLD, blue, queue, raw_pod("mine", labels=label), raw_pod("stranger", node="n3"))

    for policy in (POLICY, Policy(partition_value="blue")):
        _same(_mirror(*objects), objects, policy)


def test_pods_move_to_another_shard_with_their_pod_group():
    def group(pool, version):
        labels = {"kai.scheduler/node-pool": pool}
        metadata = {"namespace": "team", "labels": labels, "resourceVersion": version}
        return raw_other("scheduling.run.ai/v2alpha2", "PodGroup", "gang", metadata=metadata, spec={})

    pod = raw_pod("member", annotations={"pod-group-name": "gang"})
    objects = [raw_node("n1"), pod, group("blue", "1")]
    mirror = _mirror(*objects)
    policies = (POLICY, Policy(partition_value="blue"), Policy(partition_value="green"))
    for policy in policies:
        _same(mirror, objects, policy)
        assert len(mirror.snapshot(NOW, policy).pods) == (policy.partition_value == "blue")

    objects[2] = group("green", "2")
    _tell(mirror, objects[2], event_type="MODIFIED")
    for policy in policies:
        _same(mirror, objects, policy)
        assert len(mirror.snapshot(NOW, policy).pods) == (policy.partition_value == "green")


def test_heartbeats_of_nodes_neither_wake_nor_change_the_fleet():
    mirror = _mirror(*WORLD)
    before = mirror.snapshot(NOW, POLICY).fleet

    assert not _wakes(mirror, raw_node("n1", version=7, heartbeat="2026-11-25T01:00:10Z"))
    assert mirror.snapshot(NOW, POLICY).fleet is before

    assert _wakes(mirror, raw_node("n1", version=8, gpus=7))
    assert mirror.snapshot(NOW, POLICY).fleet.version == before.version + 1


def test_what_did_not_change_is_the_same_object_in_the_next_snapshot():
    mirror = _mirror(*[raw for raw in WORLD if raw["metadata"]["name"] != "c"])
    first = mirror.snapshot(NOW, POLICY)
    _tell(mirror, raw_claim("new", version=3))

    second = mirror.snapshot(NOW + 60, POLICY)

    assert second.fleet is first.fleet
    assert second.pods is first.pods
    assert second.pod_groups is first.pod_groups
    assert second.claims is not first.claims


def test_a_releasing_pod_becomes_stuck_with_time_alone():
    mirror = _mirror(raw_node("n1"), raw_pod("p", node="n1", deletionTimestamp="2025-11-25T02:00:00Z"))

    assert mirror.snapshot(NOW, POLICY).pods[0].state is PodState.RELEASING
    assert mirror.snapshot(NOW + 121, POLICY).pods[0].state is PodState.STUCK_RELEASING


def test_a_new_pod_of_ours_wakes_and_one_of_another_scheduler_only_when_it_takes_room():
    mirror = _mirror(*WORLD)

    assert _wakes(mirror, raw_pod("new"))
    assert not _wakes(mirror, raw_pod("theirs", scheduler="default-scheduler"))
    assert _wakes(mirror, raw_pod("theirs", version=2, scheduler="default-scheduler", node="n1"))
    assert _wakes(
        mirror, raw_pod("theirs", version=3, scheduler="default-scheduler", node="n1", phase="Succeeded")
    )


def test_our_own_bind_and_the_start_of_a_bound_pod_do_not_wake_but_are_told():
    mirror = _mirror(*WORLD)
    mirror.assume(_bind("b"))

    annotations = {"pod-group-name": "g"}
    assert not _wakes(mirror, raw_pod("b", version=2, node="n1", annotations=annotations))
    assert not _wakes(mirror, raw_pod("b", version=3, node="n1", phase="Running", annotations=annotations))
    assert mirror.take_dirty().groups == {"team/g"}
    assert _wakes(mirror, raw_pod("b", version=4, node="n1", phase="Failed", annotations=annotations))


def test_a_bind_to_another_node_than_ours_wakes():
    mirror = _mirror(*WORLD)
    mirror.assume(_bind("b"))

    assert _wakes(mirror, raw_pod("b", version=2, node="n2", annotations={"pod-group-name": "g"}))


def test_an_assumed_bind_is_in_the_snapshot_until_it_is_forgotten():
    mirror = _mirror(*WORLD)
    mirror.assume(_bind("b"))
    pods = {pod.key: pod for pod in mirror.snapshot(NOW, POLICY).pods}
    assert (pods["team/b"].state, pods["team/b"].node) == (PodState.BINDING, "n1")

    mirror.forget([PodKey("team/b")])

    pods = {pod.key: pod for pod in mirror.snapshot(NOW, POLICY).pods}
    assert pods["team/b"].state is PodState.PENDING
    assert mirror.wake.is_set()


def test_a_status_that_only_we_write_does_not_wake():
    mirror = _mirror(*WORLD)
    queue = dict(QUEUE, metadata={**QUEUE["metadata"], "resourceVersion": "5"}, status={"pending": 3})

    assert not _wakes(mirror, queue)
    assert mirror.snapshot(NOW, POLICY).queues[0].resource_version == "5"


def test_a_pod_nobody_can_read_closes_its_node_and_is_named():
    bad = raw_pod("bad", node="n1")
    bad["spec"]["containers"][0]["resources"]["requests"]["memory"] = "a lot"
    mirror = _mirror(*WORLD, bad)

    snapshot = mirror.snapshot(NOW, POLICY)

    assert [node.name for node in snapshot.fleet.nodes if not node.is_ready] == ["n1"]
    assert [(problem.kind, problem.key) for problem in snapshot.unreadable] == [("Pod", "team/bad")]
    _tell(mirror, bad, event_type="DELETED")
    assert all(node.is_ready for node in mirror.snapshot(NOW, POLICY).fleet.nodes)


def test_a_claim_nobody_can_read_still_holds_its_devices():
    bad = raw_claim("bad", devices=["gpu-1", "gpu-2"])
    bad["status"]["allocation"]["devices"]["results"][0]["consumedCapacity"] = {"memory": "a lot"}
    mirror = _mirror(*WORLD, bad)

    snapshot = mirror.snapshot(NOW, POLICY)

    held = next(claim for claim in snapshot.claims if claim.key == "team/bad").allocation
    assert [result.device_id for result in held.results] == ["d/n1/gpu-1", "d/n1/gpu-2"]
    assert [problem.key for problem in snapshot.unreadable] == ["team/bad"]


def test_pod_groups_follow_the_value_of_their_priority_class():
    mirror = _mirror(*WORLD)

    assert _wakes(mirror, raw_other("scheduling.k8s.io/v1", "PriorityClass", "high", version=4, value=950))
    groups = {group.key: group for group in mirror.snapshot(NOW, POLICY).pod_groups}
    assert groups["team/g"].priority == 950


def test_claims_follow_the_admin_label_of_their_namespace():
    mirror = _mirror(*WORLD)
    assert mirror.snapshot(NOW, POLICY).claims[0].namespace_allows_admin

    assert _wakes(mirror, raw_other("v1", "Namespace", "team", version=4))

    assert not mirror.snapshot(NOW, POLICY).claims[0].namespace_allows_admin


def test_the_mirror_waits_for_every_kind_that_was_asked_for():
    mirror = Mirror()
    sinks = [mirror.sink(kind) for kind in (kinds.POD, kinds.NODE)]
    assert mirror.waiting_for == ("Node", "Pod")

    for sink in sinks:
        sink.synced()

    assert mirror.waiting_for == ()
    assert mirror.wake.is_set()


def test_a_list_beside_other_events_finds_what_they_did_not_tell():
    mirror = _mirror(QUEUE)
    sightings = mirror.sightings(kinds.QUEUE)
    sightings.begin_list()
    sightings.add_page([], "50")

    vanished, _ = sightings.end_list("50")
    mirror.apply(kinds.QUEUE, vanished)

    assert [change.kind for change in vanished] == [ChangeKind.DELETED]
    assert mirror.snapshot(NOW, POLICY).queues == ()


def test_a_claim_that_a_command_makes_counts_before_anybody_sees_it() -> None:
    allocation = ClaimAllocation(
        results=(DeviceResult(request="r", driver="gpu", pool="n1", device="gpu-0"),)
    )
    part = ClaimPlacement(
        claim=ClaimKey("team/made"),
        uid=Uid("for-uid-p"),
        devices=("gpu/n1/gpu-0",),
        allocation=allocation,
        creation=ClaimCreation(ClaimSpec(), ()),
    )
    mirror = Mirror()
    pod, node = raw_pod("p"), raw_node("n1")
    for raw in (pod, node):
        mirror.event(kind_of(raw), "ADDED", raw)
    placement = Placement(
        pod=PodKey("team/p"),
        uid=Uid("uid-p"),
        pod_group=PodGroupKey("team/p"),
        node=NodeName("n1"),
        claims=(part,),
    )
    command = BindGang(pod_group=PodGroupKey("team/p"), placements=(placement,), already_bound=0)

    mirror.assume(command)
    (made,) = mirror.snapshot(NOW, Policy()).claims
    mirror.forget([PodKey("team/p")])
    after = mirror.snapshot(NOW, Policy()).claims

    assert (made.key, made.allocation, made.is_extended_resource) == ("team/made", allocation, True)
    assert after == ()


def test_a_claim_is_kept_whole_until_it_is_allocated() -> None:
    """The binder writes it back then and needs no call to read it; afterwards it would only take memory."""
    waiting, held = raw_claim("c"), raw_claim("c", devices=["gpu-0"], consumers=["a"])
    waiting["metadata"]["managedFields"] = [{"manager": "m"}]
    held["metadata"]["resourceVersion"] = "2"
    mirror = _mirror(waiting)
    documents = mirror.stock.claims.documents

    kept = dict(documents)
    _tell(mirror, held)

    assert list(kept) == ["team/c"]
    assert "managedFields" not in kept["team/c"]["metadata"]
    assert documents == {}
    assert mirror.stock.claims.records["team/c"].allocation is not None


def test_a_pod_group_that_comes_after_its_pods_is_told_of_them():
    mirror = _mirror(raw_pod("p0"))

    _tell(mirror, a_pod_group_with_uid(), event_type="ADDED")

    assert mirror.take_dirty().groups == {"team/g"}


class _Recorder:
    """A grouper that only notes which owners it is told of."""

    version = 0
    kinds = frozenset({kinds.POD_GROUP})

    def __init__(self):
        self.seen = []

    def owner_seen(self, kind, key, document):
        self.seen.append((key, document is not None))
        return ()

    def groups(self):
        return ()


def test_an_owner_that_was_deleted_is_gone_for_the_grouper_however_it_looked():
    grouper = _Recorder()
    mirror = Mirror(grouper=grouper)

    _tell(mirror, a_pod_group_with_uid(), event_type="ADDED")
    _tell(mirror, a_pod_group_with_uid(), event_type="DELETED")

    assert grouper.seen == [("team/g", True), ("team/g", False)]


def a_pod_group_with_uid():
    group = a_pod_group_document("g")
    group["metadata"] |= {"uid": "uid-g", "resourceVersion": "7"}
    return group
