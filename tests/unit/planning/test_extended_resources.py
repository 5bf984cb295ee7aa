"""One resource name, served by device plugins on some nodes and by DRA on others (KEP-5004)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.localcluster.fleet import Fleet, fleet_objects
from kai_sched.model.plan import Blocker, Outcome, Placement, Plan
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.sim.engine import apply_plan
from kai_sched.solving.in_process import decide_in_process
from tests.documents import a_pod_document, a_queue_document

GPU = "nvidia.com/gpu"
IMPLICIT = "deviceclass.resource.kubernetes.io/gpu.nvidia.com"
POLICY = Policy(stages=(StageName.ALLOCATE,))
NOW = 1_800_000_000.0
Raw = dict[str, Any]


def a_fleet(*, plugin: int = 1, dra: int = 1, gpus: int = 4, resource: str = GPU) -> list[Raw]:
    pools = [
        {"name": via, "count": count, "devices": [{"profile": "nvidia-h100", "via": via, "count": gpus}]}
        for via, count in (("devicePlugin", plugin), ("dra", dra))
        if count
    ]
    pools = [{**pool, "name": str(pool["name"]).lower()} for pool in pools]
    fleet = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet", "pools": pools}
    objects = [one for one in fleet_objects(Fleet.model_validate(fleet)) if one["kind"] != "Topology"]
    for one in objects:
        if one["kind"] == "DeviceClass" and one["metadata"]["name"] == "gpu.nvidia.com":
            one["spec"].pop("extendedResourceName", None)
            one["spec"].update({"extendedResourceName": resource} if resource else {})
    return objects


def a_gpu_pod(name: str, gpus: int = 1, resource: str = GPU, **parts: Any) -> Raw:
    container = {"name": "main", "resources": {"requests": {"cpu": "1"}, "limits": {resource: str(gpus)}}}
    labels = {"kai.scheduler/queue": "team-a"}
    return a_pod_document(
        name, spec={"containers": [container], **parts}, labels=labels, annotations={"pod-group-name": name}
    )


def a_group(name: str) -> Raw:
    return {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"queue": "team-a", "minMember": 1},
    }


def a_snapshot(fleet: list[Raw], *pods: Raw) -> ClusterSnapshot:
    groups = [a_group(pod["metadata"]["name"]) for pod in pods]
    objects = ObjectSet([*fleet, *pods, *groups, a_queue_document()])
    snapshot = snapshot_of(objects, now=NOW, policy=POLICY)
    assert snapshot.unreadable == ()
    return snapshot


def planned(snapshot: ClusterSnapshot) -> Plan:
    plan = decide_in_process(snapshot, POLICY)
    assert PlanChecker()(snapshot, POLICY, plan) == ()
    return plan


def kinds_of(plan: Plan) -> dict[str, int]:
    """Pods by kind of node."""
    kinds: dict[str, int] = {}
    for bind in plan.binds:
        kind = bind.node.partition("-")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def device_count(binds: tuple[Placement, ...]) -> int:
    devices = [device for bind in binds for use in bind.claims for device in use.devices]
    assert len(set(devices)) == len(devices)
    return len(devices)


def test_pods_of_one_resource_fill_both_kinds_of_node() -> None:
    plan = planned(a_snapshot(a_fleet(), *(a_gpu_pod(f"p{index}") for index in range(9))))

    assert kinds_of(plan) == {"deviceplugin": 4, "dra": 4}
    assert device_count(plan.binds) == 4
    for bind in plan.binds:
        assert bool(bind.claims) == bind.node.startswith("dra")
        assert bool(bind.gpu_indices) == bind.node.startswith("deviceplugin")
    (waiting,) = [verdict for verdict in plan.verdicts if verdict.outcome is Outcome.UNPLACED]
    assert waiting.blocker is Blocker.CAPACITY
    assert (
        "nvidia.com/gpu: 0 free by device plugin, 0 free devices of class gpu.nvidia.com" in waiting.message
    )


def test_a_pod_that_needs_more_than_a_node_of_either_kind_has_waits() -> None:
    plan = planned(a_snapshot(a_fleet(), a_gpu_pod("big", 5), a_gpu_pod("fits", 4)))

    assert [bind.pod for bind in plan.binds] == ["team/fits"]


def test_a_class_is_asked_for_by_its_implicit_name() -> None:
    fleet = a_fleet(plugin=1, dra=1, resource="")

    plan = planned(a_snapshot(fleet, a_gpu_pod("p", 2, IMPLICIT)))

    (bind,) = plan.binds
    assert bind.node.startswith("dra")
    (use,) = bind.claims
    assert use.creation is not None
    assert [request.device_class for request in use.creation.spec.requests] == ["gpu.nvidia.com"]
    assert [mapping.resource for mapping in use.creation.mappings] == [IMPLICIT]


def test_without_a_class_for_it_a_resource_is_served_by_device_plugins_only() -> None:
    plan = planned(a_snapshot(a_fleet(resource=""), *(a_gpu_pod(f"p{index}") for index in range(6))))

    assert kinds_of(plan) == {"deviceplugin": 4}


def test_devices_given_to_claims_are_gone_for_extended_resources_and_the_other_way_round() -> None:
    fleet = a_fleet(plugin=0, dra=1)
    snapshot = a_snapshot(fleet, *(a_gpu_pod(f"p{index}", 2) for index in range(3)))

    first = planned(snapshot)
    after = apply_plan(snapshot, first)
    second = planned(after)

    assert len(first.binds) == 2
    assert device_count(first.binds) == 4
    assert len(after.claims) == 2
    assert second.binds == ()
    assert [pod.claims[0].claim for pod in after.pods if pod.node] == [c.key for c in after.claims]


def test_extended_resources_count_once_towards_the_queue() -> None:
    snapshot = a_snapshot(a_fleet(plugin=0, dra=1), a_gpu_pod("p", 2))

    after = apply_plan(snapshot, planned(snapshot))

    (share,) = [one for one in planned(after).shares if one.queue == "team-a"]
    assert share.allocated.gpu == 2


def test_containers_of_one_pod_have_requests_of_their_own() -> None:
    pod = a_gpu_pod("p")
    extra = {"name": "extra", "resources": {"limits": {GPU: "2"}}}
    pod["spec"]["containers"].append(extra)

    plan = planned(a_snapshot(a_fleet(plugin=0, dra=1), pod))

    ((use,),) = [bind.claims for bind in plan.binds]
    assert use.creation is not None
    assert [request.count for request in use.creation.spec.requests] == [1, 2]
    assert len(use.devices) == 3


def test_nodes_with_drivers_are_left_to_pods_that_claim():
    fleet = a_fleet(plugin=1, dra=1)

    plan = planned(a_snapshot(fleet, *(a_gpu_pod(f"p{number}") for number in range(5))))

    assert kinds_of(plan) == {"deviceplugin": 4, "dra": 1}


@settings(max_examples=settings.default.max_examples // 8)
@given(
    plugin=st.integers(0, 2),
    dra=st.integers(0, 2),
    gpus=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=8),
)
def test_whatever_is_asked_nothing_is_given_twice_and_what_waits_fits_nowhere(
    plugin: int, dra: int, gpus: int, sizes: list[int]
) -> None:
    pods = [a_gpu_pod(f"p{index}", size) for index, size in enumerate(sizes)]
    snapshot = a_snapshot(a_fleet(plugin=plugin, dra=dra, gpus=gpus), *pods)

    first = planned(snapshot)
    after = apply_plan(snapshot, first)
    second = planned(after)

    free = {node.name: gpus for node in snapshot.fleet.nodes}
    size_of = {f"team/p{index}": size for index, size in enumerate(sizes)}
    for bind in first.binds:
        free[bind.node] -= size_of.pop(bind.pod)
    assert all(left >= 0 for left in free.values())
    assert not [size for size in size_of.values() if size <= max(free.values(), default=0)]
    device_count(first.binds)
    assert second.binds == ()
