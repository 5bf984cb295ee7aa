"""Our kinds on the real API server: what it refuses and with which words, what it takes, how kubectl shows it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from kai_sched.cli.app import main
from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod_group, a_queue

Document = dict[str, Any]
EXAMPLES = Path(__file__).parent / "data/kai-examples.yaml"
HOSTNAME = "kubernetes.io/hostname"


def a_topology(*levels: Document | str, name: str = "t") -> Document:
    made = [{"nodeLabel": level} if isinstance(level, str) else level for level in levels]
    return {
        "apiVersion": "kai.scheduler/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": made},
    }


def a_shard(**spec: Any) -> Document:
    return {
        "apiVersion": "kai.scheduler/v1",
        "kind": "SchedulingShard",
        "metadata": {"name": "s"},
        "spec": spec,
    }


def with_gpu(**gpu: Any) -> Document:
    return a_queue() | {"spec": {"resources": {"gpu": gpu}}}


def with_subgroup(**subgroup: Any) -> Document:
    return a_pod_group("g", "default", subGroups=[{"name": "ok", "minMember": 1}, subgroup])


def group(**spec: Any) -> Document:
    return a_pod_group("g", "default", **spec)


REFUSED = {
    "queue: no spec": (a_queue() | {"spec": None}, "spec: Required"),
    "queue: no resources": (a_queue() | {"spec": {"parentQueue": "p"}}, "spec.resources: Required"),
    "queue: quota -2": (with_gpu(quota=-2), "spec.resources.gpu.quota.*must be -1"),
    "queue: quota -0.5": (with_gpu(quota=-0.5), "spec.resources.gpu.quota.*must be -1"),
    "queue: quota text": (with_gpu(quota="4"), "spec.resources.gpu.quota.*number"),
    "queue: limit -2": (with_gpu(limit=-2), "spec.resources.gpu.limit.*must be -1"),
    "queue: weight -1": (with_gpu(overQuotaWeight=-1), "spec.resources.gpu.overQuotaWeight.*at least 0"),
    "queue: cpu quota": (
        a_queue() | {"spec": {"resources": {"cpu": {"quota": -3}}}},
        "spec.resources.cpu.quota",
    ),
    "queue: memory limit": (
        a_queue() | {"spec": {"resources": {"memory": {"limit": -3}}}},
        "spec.resources.memory.limit",
    ),
    "queue: priority text": (a_queue(priority="high"), "spec.priority.*integer"),
    "queue: parent number": (a_queue(parentQueue=3), "spec.parentQueue.*string"),
    "queue: min runtime": (a_queue(preemptMinRuntime="5 minutes"), "spec.preemptMinRuntime.*match"),
    "queue: reclaim runtime": (a_queue(reclaimMinRuntime="soon"), "spec.reclaimMinRuntime.*match"),
    "group: minMember -1": (group(minMember=-1), "spec.minMember.*greater than or equal to 0"),
    "group: minMember text": (group(minMember="2"), "spec.minMember.*integer"),
    "group: minMember too big": (group(minMember=2**31), "spec.minMember"),
    "group: both minima": (
        group(minMember=1, minSubGroup=1, subGroups=[{"name": "a", "minMember": 1}]),
        "spec.minSubGroup.*mutually exclusive",
    ),
    "group: minSubGroup without subgroups": (group(minSubGroup=1), "spec.minSubGroup.*needs subGroups"),
    "group: minSubGroup -1": (
        group(minSubGroup=-1, subGroups=[{"name": "a", "minMember": 1}]),
        "spec.minSubGroup.*greater than or equal to 0",
    ),
    "group: preemptibility": (group(preemptibility="maybe"), "spec.preemptibility.*Unsupported value"),
    "group: backoff 0": (group(schedulingBackoff=0), "spec.schedulingBackoff.*Unsupported value"),
    "group: delay negative": (group(preemptionDelay="-1s"), "spec.preemptionDelay.*match"),
    "group: grace": (group(stalenessGracePeriod="1 day"), "spec.stalenessGracePeriod.*match"),
    "group: mark": (group(markUnschedulable="yes"), "spec.markUnschedulable.*boolean"),
    "group: constraint": (group(topologyConstraint="rack"), "spec.topologyConstraint.*object"),
    "subgroup: no name": (with_subgroup(minMember=1), r"spec.subGroups\[1\].name: Required"),
    "subgroup: upper case": (with_subgroup(name="A", minMember=1), r"spec.subGroups\[1\].name.*match"),
    "subgroup: empty name": (with_subgroup(name="", minMember=1), r"spec.subGroups\[1\].name"),
    "subgroup: minMember -1": (with_subgroup(name="a", minMember=-1), r"spec.subGroups\[1\].minMember"),
    "subgroup: both minima": (
        with_subgroup(name="a", minMember=1, minSubGroup=1),
        r"spec.subGroups\[1\].minSubGroup.*mutually exclusive",
    ),
    "topology: no levels": (a_topology(), "spec.levels.*at least 1"),
    "topology: too many levels": (a_topology(*(f"l{n}" for n in range(17))), "spec.levels.*at most 16"),
    "topology: label": (a_topology("not a label"), r"spec.levels\[0\].nodeLabel.*match"),
    "topology: long label": (a_topology(f"{'a' * 316}/b"), r"spec.levels\[0\].nodeLabel"),
    "topology: label twice": (a_topology("a", "b", "a"), "spec.levels.*nodeLabel must be unique"),
    "topology: host first": (a_topology(HOSTNAME, "a"), "spec.levels.*must be the last level"),
    "topology: alias": (a_topology({"nodeLabel": "a", "alias": "!"}), r"spec.levels\[0\].alias.*match"),
    "topology: alias twice": (
        a_topology({"nodeLabel": "a", "alias": "x"}, {"nodeLabel": "b", "alias": "x"}),
        "spec.levels.*alias must be unique",
    ),
    "topology: alias is a label": (
        a_topology("a", {"nodeLabel": "b", "alias": "a"}),
        "spec.levels.*alias must not be a nodeLabel",
    ),
    "shard: strategy": (
        a_shard(placementStrategy={"gpu": "pack"}),
        "spec.placementStrategy.gpu.*Unsupported",
    ),
    "shard: args": (a_shard(args={"a": 1}), "spec.args.a.*string"),
    "shard: kValue": (a_shard(kValue=-1), "spec.kValue.*greater than or equal to 0"),
    "shard: depth": (a_shard(queueDepthPerAction={"allocate": "all"}), "spec.queueDepthPerAction.allocate"),
    "shard: usage client": (a_shard(usageDBConfig={}), "spec.usageDBConfig.clientType: Required"),
    "shard: memory ratio 0": (a_shard(goMemLimitRatio=0), "spec.goMemLimitRatio.*greater than 0"),
    "shard: memory ratio 2": (a_shard(goMemLimitRatio=2), "spec.goMemLimitRatio.*less than or equal to 1"),
    "shard: device choice": (a_shard(kaiSched={"deviceChoice": "best"}), "spec.kaiSched.deviceChoice"),
    "shard: seed": (a_shard(kaiSched={"solver": {"seed": -1}}), "spec.kaiSched.solver.seed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_api_server_refuses_naming_the_field(control_plane: LocalCluster, name: str) -> None:
    document, said = REFUSED[name]

    with pytest.raises(ApiFailure, match=said) as refusal:
        control_plane.api.create(document)

    assert refusal.value.status == 422


TAKEN = {
    "queue: unlimited": with_gpu(quota=-1, limit=-1, overQuotaWeight=0),
    "queue: fractions and zero": with_gpu(quota=0.7, limit=0),
    "queue: nothing of anything": a_queue() | {"spec": {"resources": {}}},
    "queue: days as hours": a_queue(preemptMinRuntime="48h", reclaimMinRuntime="1.5h"),
    "group: nothing": a_pod_group("g", "default"),
    "group: no gang": group(minMember=0),
    "group: for ever": group(stalenessGracePeriod="-1s"),
    "group: a leaf without a gang": group(minSubGroup=0, subGroups=[{"name": "a", "minMember": 0}]),
    "topology: sixteen levels": a_topology(*(f"example.com/l{n}" for n in range(15)), HOSTNAME),
    "shard: nothing": a_shard(),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_api_server_takes_the_edges(cluster: LocalCluster, name: str) -> None:
    created = cluster.api.create(TAKEN[name])

    assert created["spec"] == TAKEN[name]["spec"]


def test_thousands_of_subgroups_are_taken(cluster: LocalCluster) -> None:
    subgroups = [{"name": f"s{n}", "minMember": 1} for n in range(10_000)]

    created = cluster.api.create(group(minSubGroup=1, subGroups=subgroups))

    assert len(created["spec"]["subGroups"]) == 10_000


def test_levels_are_immutable_and_aliases_are_not(cluster: LocalCluster) -> None:
    stored = cluster.api.create(a_topology("a", "b"))
    renamed = copy.deepcopy(stored)
    renamed["spec"]["levels"][1]["alias"] = "block"

    stored = cluster.api.replace(renamed)

    assert stored["spec"]["levels"][1]["alias"] == "block"
    stored["spec"]["levels"] = [{"nodeLabel": "a"}]
    with pytest.raises(ApiFailure, match="levels are immutable") as refusal:
        cluster.api.replace(stored)
    assert refusal.value.status == 422


def test_manifests_of_kai_apply_unchanged_and_nothing_of_them_is_lost(cluster: LocalCluster) -> None:
    said = cluster.kubectl("apply", "-f", str(EXAMPLES))

    wanted = list(yaml.safe_load_all(EXAMPLES.read_text()))
    assert said.count(" created") == len(wanted)
    for document in wanted:
        namespace = "default" if document["kind"] == "PodGroup" else ""
        stored = cluster.api.get(
            f"{document['apiVersion']}/{document['kind']}", document["metadata"]["name"], namespace
        )
        spec = {key: value for key, value in document["spec"].items() if value is not None}
        assert stored["spec"] == spec, document["metadata"]["name"]


def test_a_field_that_nobody_knows_is_said_and_pruned(cluster: LocalCluster) -> None:
    queue = a_queue(parent="p")

    assert "parent" not in cluster.api.create(queue)["spec"]


def test_kubectl_shows_queues_with_kais_columns_first_and_ours_after_them(cluster: LocalCluster) -> None:
    cluster.api.create(a_queue("team", priority=200, parentQueue="dept", displayName="Team", gpu_quota=4))
    status = {
        "childQueues": ["a", "b"],
        "kaiSched": {
            "resources": {"gpu": {"fairShare": 6.5, "allocated": 2, "requested": 8, "limit": 9}},
            "pendingGangs": 3,
            "runningGangs": 1,
            "waitingReason": "Capacity",
            "waitingMessage": "full",
        },
    }
    cluster.api.patch("Queue", "team", body={"status": status}, subresource="status")

    header, row = cluster.kubectl("get", "queues").splitlines()

    assert header.split() == ["NAME", "PRIORITY", "PARENT", "GPU-QUOTA", "GPU-USED", "GANGS-WAIT", "REASON"]
    assert row.split() == ["team", "200", "dept", "4", "2", "3", "Capacity"]
    header, row = cluster.kubectl("get", "queues", "-o", "wide").splitlines()
    assert header.split() == [
        "NAME",
        "PRIORITY",
        "PARENT",
        "CHILDREN",
        "DISPLAYNAME",
        "GPU-QUOTA",
        "GPU-FAIR",
        "GPU-USED",
        "GPU-ASKED",
        "GPU-LIMIT",
        "GANGS-RUN",
        "GANGS-WAIT",
        "REASON",
        "MESSAGE",
    ]
    assert row.split() == [
        "team",
        "200",
        "dept",
        '["a","b"]',
        "Team",
        "4",
        "6.5",
        "2",
        "8",
        "9",
        "1",
        "3",
        "Capacity",
        "full",
    ]


def test_kubectl_shows_pod_groups_under_their_short_name(cluster: LocalCluster) -> None:
    cluster.api.create(group(minMember=4))
    status = {
        "kaiSched": {
            "verdict": "Unplaced",
            "blocker": "Topology",
            "message": "no rack",
            "pendingPods": 4,
            "runningPods": 0,
        }
    }
    cluster.api.patch(
        "scheduling.run.ai/v2alpha2/PodGroup", "g", "default", body={"status": status}, subresource="status"
    )

    table = cluster.kubectl("get", "pg")

    header, row = table.splitlines()
    assert header.split()[0] == "NAME"
    assert {"QUEUE", "PENDING", "RUNNING", "VERDICT", "REASON", "AGE"} <= set(header.split())
    assert "MESSAGE" not in header
    assert {"g", "team-a", "Unplaced", "Topology"} <= set(row.split())
    assert "no rack" in cluster.kubectl("get", "pg", "-o", "wide")
    for name in ("podgroups.scheduling.run.ai", "pg.scheduling.run.ai"):
        assert cluster.kubectl("get", name).splitlines()[0] == header


def test_a_status_is_written_by_its_subresource_only(cluster: LocalCluster) -> None:
    stored = cluster.api.create({**a_queue(), "status": {"childQueues": ["x"]}})

    assert "status" not in stored


@pytest.fixture
def crds(
    control_plane: LocalCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """``crds("diff")`` → exit code and the states by name."""

    def run(command: str) -> tuple[int, dict[str, Document]]:
        arguments = [
            "kai-sched",
            "crds",
            command,
            "--kubeconfig",
            str(control_plane.kubeconfig),
            "-o",
            "json",
        ]
        monkeypatch.setattr("sys.argv", arguments)
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return code, {entry["name"]: entry for entry in orjson.loads(capsys.readouterr().out)}

    return run


TOPOLOGIES = "topologies.kai.scheduler"


def test_crds_are_compared_and_applied_and_never_downgraded(control_plane: LocalCluster, crds: Any) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{TOPOLOGIES}"
    ours = control_plane.api.request("GET", path)
    ours["metadata"] = {key: ours["metadata"][key] for key in ("name", "labels")}
    code, found = crds("diff")
    assert (code, {entry["state"] for entry in found.values()}) == (0, {"same"})

    def change(edit: Any) -> None:
        present = control_plane.api.request("GET", path)
        edit(present["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"])
        control_plane.api.request("PUT", path, present)

    try:
        change(lambda fields: fields.pop("status"))
        code, found = crds("diff")
        assert (code, found[TOPOLOGIES]["state"]) == (1, "behind")
        assert "v1alpha1 status" in found[TOPOLOGIES]["gained"]
        code, found = crds("apply")
        assert (code, crds("diff")[1][TOPOLOGIES]["state"]) == (0, "same")

        change(lambda fields: fields["spec"]["properties"].update(newer={"type": "string"}))
        code, found = crds("apply")
        assert (code, found[TOPOLOGIES]["state"], found[TOPOLOGIES]["lost"]) == (
            0,
            "ahead",
            ["v1alpha1 spec.newer"],
        )
        assert crds("diff")[1][TOPOLOGIES]["state"] == "ahead"
    finally:
        present = control_plane.api.request("GET", path)
        ours["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"]
        control_plane.api.request("PUT", path, ours)
    assert crds("diff")[0] == 0
