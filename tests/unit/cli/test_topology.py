"""``kai-sched topology`` on the snapshots of ``examples``: what people see, and what programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.conftest import Run

MIXED = Path(__file__).parents[3] / "examples/snapshots/mixed-fleet.yaml"


@pytest.fixture
def show(run: Run):
    """``show("--free")`` on the mixed fleet."""
    return lambda *arguments: run("topology", "-f", MIXED, *arguments)


def entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every place of a document, outermost first."""
    found = [document]
    for child in document.get("children", ()):
        found += entries(child)
    return found


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in entries(document.get("fleet", document)) if entry["name"] == name)


def test_the_tree_goes_from_racks_and_cliques_to_partitions(show, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    answer = show()

    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "cluster  10/20 gpu.nvidia.com, 6/8 nvidia.com/gpu free"
    for line in (
        "├── old-0  CC...... 6/8 nvidia.com/gpu free",
        "│   ├── gpu 0 … gpu 1 held team/notebook (2)",
        "│   └── clique c1.0  2/8 gpu.nvidia.com free",
        "│       ├── nvl-0  DDDD 0/4 gpu.nvidia.com free",
        "│       │   │   ├── pci0008:00 · gpu-0 held team/train",
        "    │   ├── numa 0 · pci0000:00",
        "    │   │   └── gpu-0 … gpu-3 free (4)",
        "    │       │   ├── gpu-0-mig-1g10gb-19-4 held team/eval",
        "            └── pci0000:26 · gpu-1 partly (8 of 12 partitions can be had)",
        "                └── gpu-1-mig-2g20gb-14-2 held team/eval",
        "D team/train (queue training): 6 devices in clique c1.0, all-reduce ~450 GB/s",
    ):
        assert line in lines, line
    assert max(map(len, lines)) <= 80


def test_partitions_that_could_be_cut_are_counted_and_not_listed(show):
    out = show("--node", "h100-mig-0").out

    assert "gpu-0 free (12 of 12 partitions can be had)" in out
    assert "gpu-0-mig" not in out


@pytest.mark.parametrize(
    ("level", "deepest"),
    [
        ("rack", "rack r1  2/8 gpu.nvidia.com free"),
        ("example.com/rack", "rack r1  2/8 gpu.nvidia.com free"),
        ("clique", "clique c1.0  2/8 gpu.nvidia.com free"),
        ("node", "nvl-1  DD.. 2/4 gpu.nvidia.com free"),
        ("numa", "numa 1  2/2 gpu.nvidia.com free"),
        ("pcie", "pci0018:00  1/1 gpu.nvidia.com free"),
    ],
)
def test_a_level_is_the_deepest_shown(show, level, deepest):
    tree = show("--level", level).out.split("\nHolders")[0].splitlines()

    last = [line for line in tree if deepest in line]
    assert last
    assert not any("held team/train" in line for line in tree)
    depth = last[0].index(deepest)
    following = tree[tree.index(last[0]) + 1 :]
    assert not following or len(following[0]) - len(following[0].lstrip("│├└─ ")) <= depth


def test_free_leaves_out_what_is_held(show):
    out = show("--free", "--node", "nvl-*").out

    assert "nvl-1" in out
    assert "nvl-0" not in out
    assert "team/train" not in out
    assert "nvl-1  .. 2 gpu.nvidia.com free" in out  # not "2/2": the totals are not shown here


def test_a_topology_shows_its_own_nodes_only(show):
    document = show("--topology", "hall", "-o", "json").document

    assert document["topology"] == "hall"
    nodes = {entry["name"] for entry in entries(document["fleet"]) if entry["kind"] == "node"}
    assert nodes == {"nvl-0", "nvl-1", "a100-0", "h100-cut-0", "h100-mig-0"}


def test_the_document_says_who_holds_each_device(show):
    document = show("-o", "json").document

    part = named(document, "gpu-1-mig-2g20gb-14-2")
    assert part["kind"] == "partition"
    assert part["id"] == "gpu.nvidia.com/h100-mig-0/gpu-1-mig-2g20gb-14-2"
    assert part["state"] == "held"
    assert part["holders"] == [
        {
            "claim": "team/eval-1",
            "pods": ["team/eval-1"],
            "podGroup": "team/eval",
            "queue": "serving",
            "consumed": {},
        }
    ]
    state_of = {
        entry["name"]: entry["state"] for entry in entries(named(document, "h100-mig-0")) if "id" in entry
    }
    assert state_of["gpu-1-mig-3g40gb-9-0"] == "blocked", "the 2g partition lies where it would be cut"
    assert state_of["gpu-1-mig-3g40gb-9-4"] == "free"
    assert named(document, "nvl-1")["devices"] == [{"driver": "gpu.nvidia.com", "total": 4, "free": 2}]
    assert named(document, "old-0")["resources"] == {"nvidia.com/gpu": {"allocatable": 8, "free": 6}}
    train = next(holder for holder in document["holders"] if holder["name"] == "team/train")
    assert (train["nodes"], train["spans"], train["allReduceGBps"]) == (
        ["nvl-0", "nvl-1"],
        {"kind": "domain", "name": "c1.0"},
        450.0,
    )
    assert len(train["devices"]) == 6


def all_reduce_of(document: dict[str, Any], name: str) -> float | None:
    return next(holder["allReduceGBps"] for holder in document["holders"] if holder["name"] == name)


def test_what_links_carry_comes_from_the_settings(show, tmp_path, monkeypatch):
    file = tmp_path / "settings.yaml"
    settings = {"bandwidths": {"nvlink": 900, "node": 21, "levels": {"nvidia.com/gpu.clique": 700}}}
    file.write_text(
        yaml.safe_dump({"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Configuration"} | settings)
    )

    def shown(*arguments: object) -> tuple[float | None, float | None]:
        document = show("-o", "json", *arguments).document
        return all_reduce_of(document, "team/train"), all_reduce_of(document, "team/notebook")

    assert shown() == (450.0, 30.0)
    assert shown("--config", file) == (700.0, 21.0)
    assert "all-reduce ~700 GB/s" in " ".join(show("--config", file).out.split())
    monkeypatch.setenv("KAI_SCHED_BANDWIDTHS_LEVELS", "{nvidia.com/gpu.clique: 650}")
    assert shown("--config", file) == (650.0, 21.0), "the environment wins over the file"


def test_a_device_that_serves_many_says_what_is_left(run, tmp_path):
    device = {
        "name": "g0",
        "allowMultipleAllocations": True,
        "capacity": {"memory": {"value": "80Gi"}},
    }
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "status": {"allocatable": {"cpu": "8"}},
    }
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    published = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "s"},
        "spec": {"driver": "gpu.example.com", "pool": pool, "nodeName": "n1", "devices": [device]},
    }
    result = {
        "request": "gpu",
        "driver": "gpu.example.com",
        "pool": "n1",
        "device": "g0",
        "shareID": "a671734a-e8e5-11e4-8fde-42010af09327",
        "consumedCapacity": {"memory": "10Gi"},
    }
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "c", "namespace": "team"},
        "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}},
        "status": {"allocation": {"devices": {"results": [result]}}},
    }
    file = tmp_path / "shared.yaml"
    file.write_text(yaml.safe_dump_all([node, published, claim]))

    out = run("topology", "-f", file).out
    shared = named(run("topology", "-f", file, "-o", "json").document, "g0")

    assert "g0 shared claim team/c [memory 10Gi] (memory 70Gi left)" in out
    assert shared["capacity"] == {"memory": {"total": "80Gi", "free": "70Gi"}}
    assert shared["holders"][0]["consumed"] == {"memory": "10Gi"}


def test_yaml_says_the_same_as_json(show):
    assert yaml.safe_load(show("-o", "yaml").out) == show("-o", "json").document


def test_many_nodes_are_a_line_each_unless_asked_for_more(run, tmp_path):
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"n{number}"},
            "status": {"allocatable": {"cpu": "8", "nvidia.com/gpu": "2"}},
        }
        for number in range(9)
    ]
    file = tmp_path / "nodes.yaml"
    file.write_text(yaml.safe_dump_all(nodes))

    assert "gpu 0" not in run("topology", "-f", file).out
    assert "gpu 0 … gpu 1 free (2)" in run("topology", "-f", file, "--level", "device").out


def test_cordoned_and_lost_nodes_say_so(run, tmp_path):
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "spec": {
            "unschedulable": True,
            "taints": [{"key": "dedicated", "value": "infra", "effect": "NoSchedule"}],
        },
        "status": {
            "allocatable": {"nvidia.com/mig-1g.10gb": "7"},
            "conditions": [{"type": "Ready", "status": "False"}],
        },
    }
    file = tmp_path / "nodes.yaml"
    file.write_text(yaml.safe_dump(node))

    out = run("topology", "-f", file).out

    assert "n1  - 0/7 nvidia.com/mig-1g.10gb free cordoned not ready taints dedicated=infra:NoSchedule" in out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--topology", "halls"), "--topology: no topology 'halls' (there are: hall)"),
        (
            ("--level", "row"),
            "--level: no level 'row' (there are: rack, clique, node, numa, pcie, device, partition)",
        ),
        (("--node", "x*"), "--node: no node matches 'x*'"),
        (("--kubeconfig", "k"), "--kubeconfig: give a snapshot file or a kubeconfig, not both"),
        (("-f", "missing.yaml"), "missing.yaml: No such file or directory"),
    ],
    ids=str,
)
def test_what_is_asked_wrongly_is_one_line_and_exit_code_2(show, arguments, error):
    answer = show(*arguments)

    assert answer.code == 2
    assert answer.out == ""
    assert " ".join(answer.err.split()) == f"error: {error}"


def test_help_has_an_example_that_runs(run):
    help_text = " ".join(run("topology", "--help").out.split())

    assert "kai-sched topology -f examples/snapshots/mixed-fleet.yaml --node 'h100-*'" in help_text
    assert run("topology", "-f", MIXED, "--node", "h100-*").code == 0


def test_what_nobody_can_have_is_not_counted_as_free(run, tmp_path):
    def node(name, **spec):
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "spec": spec,
            "status": {
                "allocatable": {"nvidia.com/gpu": "8"},
                "conditions": [{"type": "Ready", "status": str(name != "lost")}],
            },
        }

    file = tmp_path / "nodes.yaml"
    file.write_text(yaml.safe_dump_all([node("fine"), node("cordoned", unschedulable=True), node("lost")]))

    lines = run("topology", "-f", file, "--free").out.splitlines()
    document = run("topology", "-f", file, "-o", "json").document

    assert lines[0] == "cluster  8 nvidia.com/gpu free"
    assert not any("cordoned" in line or "lost" in line for line in lines)
    assert document["fleet"]["devices"] == [{"driver": "nvidia.com/gpu", "total": 24, "free": 8}]
    states = {entry["state"] for entry in entries(named(document, "lost")) if "state" in entry}
    assert states == {"closed"}


def test_every_group_that_shares_a_claim_is_a_holder(run, tmp_path):
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"p{number}",
                "namespace": "team",
                "uid": f"uid-{number}",
                "annotations": {"pod-group-name": f"g{number}"},
            },
            "spec": {"schedulerName": "kai-scheduler", "nodeName": "n", "containers": [{"name": "c"}]},
            "status": {"phase": "Running"},
        }
        for number in range(2)
    ]
    device = {"request": "r", "driver": "gpu.nvidia.com", "pool": "n", "device": "gpu-0"}
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "shared", "namespace": "team", "uid": "uid-c"},
        "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com"}}]}},
        "status": {
            "allocation": {"devices": {"results": [device]}},
            "reservedFor": [{"resource": "pods", "name": f"p{n}", "uid": f"uid-{n}"} for n in range(2)],
        },
    }
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    published = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "s"},
        "spec": {
            "driver": "gpu.nvidia.com",
            "nodeName": "n",
            "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "gpu-0"}],
        },
    }
    file = tmp_path / "world.yaml"
    file.write_text(yaml.safe_dump_all([*pods, claim, node, published]))

    (holder,) = run("topology", "-f", file, "-o", "json").document["holders"]

    assert holder["name"] == "team/g0 + team/g1"
    assert holder["podGroups"] == ["team/g0", "team/g1"]
    assert holder["pods"] == ["team/p0", "team/p1"]
