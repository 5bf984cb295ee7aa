"""The CRDs that our models make: structural, complete, compared feature by feature."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.api.crd_compare import CrdState, compare, replacement
from kai_sched.api.generated import RESOURCES, drifted, generated_files
from kai_sched.api.pod_group import POD_GROUP
from kai_sched.api.queue import QUEUE
from kai_sched.api.schema import CustomResource, crd_document
from kai_sched.api.topology import TOPOLOGY
from kai_sched.fairness.tree import ProblemKind
from kai_sched.model.plan import Blocker

ROOT = Path(__file__).parents[3]
BY_NAME = {resource.name: resource for resource in RESOURCES}


def schema_of(resource: CustomResource) -> dict[str, Any]:
    version: dict[str, Any] = crd_document(resource)["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Every schema below, by path."""
    found = {path: schema}
    for name, below in schema.get("properties", {}).items():
        found |= fields(below, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if key in schema:
            found |= fields(schema[key], path + mark)
    return found


@pytest.mark.parametrize("name", BY_NAME)
def test_every_field_has_a_type_and_says_what_it_is(name: str) -> None:
    found = fields(schema_of(BY_NAME[name]))

    typeless = [path for path, one in found.items() if "type" not in one and "anyOf" not in one]
    silent = [
        path
        for path, one in found.items()
        if "description" not in one
        and not path.endswith((".*", "[]"))
        and path.startswith((".spec", ".status"))
    ]
    assert typeless == []
    assert silent == []


@pytest.mark.parametrize("name", BY_NAME)
def test_no_list_or_map_is_bounded_below_ten_thousand_but_levels(name: str) -> None:
    bounds = {
        path: one[key]
        for path, one in fields(schema_of(BY_NAME[name])).items()
        for key in ("maxItems", "maxProperties")
        if key in one
    }

    assert all(bound >= 10_000 for path, bound in bounds.items() if path != ".spec.levels")


@pytest.mark.parametrize("name", BY_NAME)
def test_defaults_are_never_written_into_objects(name: str) -> None:
    assert [path for path, one in fields(schema_of(BY_NAME[name])).items() if "default" in one] == []


KAI_FIELDS = {
    QUEUE: """
        spec.displayName spec.parentQueue spec.priority spec.preemptMinRuntime spec.reclaimMinRuntime
        spec.resources.gpu.quota spec.resources.gpu.overQuotaWeight spec.resources.gpu.limit
        spec.resources.cpu.quota spec.resources.memory.limit
        status.conditions[].type status.conditions[].status status.conditions[].reason status.conditions[].message
        status.conditions[].lastProbeTime status.conditions[].lastTransitionTime status.childQueues[]
        status.allocated.* status.allocatedNonPreemptible.* status.requested.*
    """,
    POD_GROUP: """
        spec.minMember spec.minSubGroup spec.queue spec.priorityClassName spec.preemptibility
        spec.topologyConstraint.topology spec.topologyConstraint.requiredTopologyLevel
        spec.topologyConstraint.preferredTopologyLevel spec.subGroups[].name spec.subGroups[].minMember
        spec.subGroups[].minSubGroup spec.subGroups[].parent spec.subGroups[].topologyConstraint.topology
        spec.markUnschedulable spec.schedulingBackoff spec.preemptionDelay spec.stalenessGracePeriod
        status.conditions[].transitionID status.conditions[].lastTransitionTime
        status.schedulingConditions[].type status.schedulingConditions[].nodePool
        status.schedulingConditions[].status status.schedulingConditions[].reason
        status.schedulingConditions[].message status.schedulingConditions[].transitionID
        status.schedulingConditions[].lastTransitionTime status.schedulingConditions[].reasons[].reason
        status.schedulingConditions[].reasons[].message
        status.schedulingConditions[].reasons[].details.queueDetails.name
        status.schedulingConditions[].reasons[].details.queueDetails.queueRequestedResources.*
        status.schedulingConditions[].reasons[].details.queueDetails.queueDeservedResources.*
        status.schedulingConditions[].reasons[].details.queueDetails.queueAllocatedResources.*
        status.schedulingConditions[].reasons[].details.queueDetails.queueAllocatedNonPreemptibleResources.*
        status.schedulingConditions[].reasons[].details.queueDetails.queueResourceLimits.*
        status.schedulingConditions[].reasons[].details.queueDetails.podGroupRequestedResources.*
        status.schedulingConditions[].reasons[].details.queueDetails.podGroupRequestedNonPreemptibleResources.*
        status.resourcesStatus.allocated.* status.resourcesStatus.allocatedNonPreemptible.*
        status.resourcesStatus.requested.*
    """,
    TOPOLOGY: "spec.levels[].nodeLabel spec.levels[].alias",
}


@pytest.mark.parametrize("resource", KAI_FIELDS, ids=lambda resource: resource.name)
def test_every_field_of_kai_is_there_under_its_name(resource: CustomResource) -> None:
    wanted = {f".{path}" for path in KAI_FIELDS[resource].split()}

    assert wanted - fields(schema_of(resource)).keys() == set()


def test_kais_printer_columns_keep_name_and_order_and_ours_follow() -> None:
    names = [column.name for column in QUEUE.columns]

    assert names[:4] == ["Priority", "Parent", "Children", "DisplayName"]
    assert POD_GROUP.short_names == ("pg",)


def test_the_table_of_queues_fits_a_hundred_columns_and_says_what_it_counts() -> None:
    """kubectl puts three spaces between columns, and pads each to its longest entry."""
    longest_reason = max((*Blocker, *ProblemKind), key=len)
    usual = {"Priority": 8, "Parent": 10, "Reason": len(longest_reason)}
    narrow = [column.name for column in QUEUE.columns if not column.priority]

    width = 14 + sum(3 + max(len(name), usual.get(name, 0)) for name in narrow)

    assert width <= 100
    counting = [name for name in narrow if name not in usual]
    assert all(name.startswith(("GPU-", "Gangs-")) for name in counting)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_column_shows_a_field_that_exists(name: str) -> None:
    known = fields(schema_of(BY_NAME[name]))

    shown = [column.path for column in BY_NAME[name].columns if not column.path.startswith(".metadata")]
    assert [path for path in shown if path not in known] == []


def test_limits_of_a_field_survive_the_type_that_is_named_for_it() -> None:
    """pydantic drops ge= beside a schema of one's own: each bounded number must still say its bound."""
    found = fields(schema_of(BY_NAME["schedulingshards.kai.scheduler"]))
    numbers = {path: one for path, one in found.items() if ".solver." in path}

    assert {path.rpartition(".")[2] for path in numbers} == {
        "seed",
        "deterministicTime",
        "deterministicTimePerModel",
        "lnsIterations",
        "maxVariables",
        "searchSteps",
    }
    assert {one.get("minimum") for one in numbers.values()} == {0}


def test_the_files_of_the_repository_are_what_the_models_say() -> None:
    assert drifted(ROOT) == ()


def test_generated_files_say_the_same_each_time_and_are_yaml() -> None:
    first, second = generated_files(), generated_files()

    assert first == second
    assert len(first) == len(RESOURCES) + 2
    for name, text in first.items():
        if name.endswith(".yaml"):
            assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"
            assert re.match(r"# Generated .* do not edit", text)


def test_a_missing_a_same_a_lesser_and_a_greater_crd_are_told_apart() -> None:
    ours = crd_document(QUEUE)
    lesser, greater = copy.deepcopy(ours), copy.deepcopy(ours)
    del spec_of(lesser)["displayName"]
    spec_of(greater)["newer"] = {"type": "string"}

    assert compare(QUEUE, None).state is CrdState.MISSING
    assert compare(QUEUE, ours).state is CrdState.SAME
    assert (compare(QUEUE, lesser).state, compare(QUEUE, lesser).gained) == (
        CrdState.BEHIND,
        ("v2 spec.displayName",),
    )
    assert (compare(QUEUE, greater).state, compare(QUEUE, greater).lost) == (
        CrdState.AHEAD,
        ("v2 spec.newer",),
    )


def test_a_changed_rule_a_lost_column_and_a_lost_short_name_are_seen() -> None:
    present = crd_document(POD_GROUP)
    present["spec"]["names"]["shortNames"] = []
    present["spec"]["versions"][0]["additionalPrinterColumns"].pop()
    spec_of(present)["minMember"]["minimum"] = 1

    found = compare(POD_GROUP, present)

    assert found.state is CrdState.BEHIND
    assert found.changed == ("v2alpha2 spec.minMember",)
    assert found.gained == ("short name pg", "v2alpha2 column Message")


def test_descriptions_and_order_of_required_fields_are_no_difference() -> None:
    present = crd_document(QUEUE)
    spec_of(present)["displayName"]["description"] = "Something else."

    assert compare(QUEUE, present).state is CrdState.SAME


def test_a_crd_of_kai_lacks_our_fields_and_is_told_so() -> None:
    present = crd_document(QUEUE)
    schema = present["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"]["kaiSched"]

    assert compare(QUEUE, present).lacks_our_fields
    assert not compare(QUEUE, crd_document(QUEUE)).lacks_our_fields


def test_a_replacement_keeps_identity_labels_and_conversion_of_what_is_there() -> None:
    present = crd_document(TOPOLOGY)
    present["metadata"] |= {"resourceVersion": "7", "uid": "u", "managedFields": [{}]}
    present["metadata"]["labels"]["theirs"] = "1"
    present["spec"]["conversion"] = {"strategy": "None"}

    made = replacement(TOPOLOGY, present)

    assert made["metadata"]["resourceVersion"] == "7"
    assert "managedFields" not in made["metadata"]
    assert made["metadata"]["labels"] == {"app.kubernetes.io/part-of": "kai-sched", "theirs": "1"}
    assert made["spec"]["conversion"] == {"strategy": "None"}


def spec_of(document: dict[str, Any]) -> dict[str, Any]:
    """The fields under spec."""
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = schema["properties"]["spec"]["properties"]
    return found
