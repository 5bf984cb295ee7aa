"""Pod groups of the wire."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kai_sched.api.translate import PriorityTable, Unreadable, translate_pod_group
from kai_sched.model.workloads import PodGroup, SubGroup, TopologyConstraint
from tests.documents import a_pod_group_document

PRIORITIES = PriorityTable({"low": 10, "high": 200}, default=60)


def read(*, metadata: dict[str, Any] | None = None, **spec: Any) -> PodGroup:
    raw = a_pod_group_document(**spec)
    raw["metadata"] |= metadata or {}
    group = translate_pod_group(raw, PRIORITIES)
    assert isinstance(group, PodGroup), str(group)
    return group


def test_a_group_that_says_nothing_needs_one_pod() -> None:
    group = read()

    assert (group.min_member, group.min_sub_group, group.sub_groups, group.constraint) == (1, None, (), None)
    assert (group.scheduling_backoff, group.mark_unschedulable, group.staleness_grace_seconds) == (
        -1,
        True,
        None,
    )


def test_a_minimum_of_zero_stays_zero() -> None:
    assert read(minMember=0).min_member == 0


def test_a_group_of_subgroups_without_minimum_asks_for_nothing_itself() -> None:
    assert read(subGroups=[{"name": "a", "minMember": 2}]).min_member == 0


def test_every_field_is_read() -> None:
    group = read(
        minMember=4,
        topologyConstraint={
            "topology": "racks",
            "requiredTopologyLevel": "rack",
            "preferredTopologyLevel": "host",
        },
        subGroups=[
            {"name": "a", "minSubGroup": 1},
            {
                "name": "b",
                "parent": "a",
                "minMember": 3,
                "topologyConstraint": {"topology": "racks", "requiredTopologyLevel": "host"},
            },
        ],
        markUnschedulable=False,
        schedulingBackoff=1,
        preemptionDelay="30s",
        stalenessGracePeriod="-1s",
        metadata={
            "annotations": {
                "kai.scheduler/last-start-timestamp": "1970-01-01T00:00:01Z",
                "kai.scheduler/last-eviction-timestamp": "1970-01-01T00:00:02Z",
                "kai.scheduler/stale-podgroup-timestamp": "rubbish",
            }
        },
    )

    assert group.constraint == TopologyConstraint("racks", "rack", "host")
    assert group.sub_groups == (
        SubGroup(name="a", min_sub_group=1),
        SubGroup(name="b", parent="a", min_member=3, constraint=TopologyConstraint("racks", "host", "")),
    )
    assert (group.mark_unschedulable, group.scheduling_backoff) == (False, 1)
    assert (group.preemption_delay_seconds, group.staleness_grace_seconds) == (30.0, -1.0)
    assert (group.last_start_at, group.last_eviction_at, group.stale_since) == (1.0, 2.0, None)
    assert group.problem == ""


@pytest.mark.parametrize(
    ("spec", "priority", "is_preemptible"),
    [
        ({}, 60, True),
        ({"priorityClassName": "low"}, 10, True),
        ({"priorityClassName": "high"}, 200, False),
        ({"priorityClassName": "inference"}, 125, False),
        ({"priorityClassName": "unknown"}, 60, True),
        ({"priorityClassName": "high", "preemptibility": "preemptible"}, 200, True),
        ({"priorityClassName": "low", "preemptibility": "non-preemptible"}, 10, False),
    ],
)
def test_priority_and_preemptibility(spec: dict[str, Any], priority: int, is_preemptible: bool) -> None:
    group = read(**spec)

    assert (group.priority, group.is_preemptible) == (priority, is_preemptible)


def test_the_queue_label_serves_where_the_spec_names_none() -> None:
    labels = {"labels": {"kai.scheduler/queue": "labelled"}}

    assert read(queue=None, metadata=labels).queue == "labelled"
    assert read(queue="named", metadata=labels).queue == "named"


LEAF = {"name": "leaf", "minMember": 1}
PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "both minima": ({"minMember": 1, "minSubGroup": 1, "subGroups": [LEAF]}, "spec.minSubGroup"),
    "children without children": ({"minSubGroup": 1}, "spec.minSubGroup"),
    "negative minimum": ({"minMember": -1}, "spec.minMember"),
    "unknown preemptibility": ({"preemptibility": "maybe"}, "spec.preemptibility"),
    "negative delay": ({"preemptionDelay": "-1s"}, "spec.preemptionDelay"),
    "level without topology": (
        {"topologyConstraint": {"requiredTopologyLevel": "rack"}},
        "spec.topologyConstraint.topology",
    ),
    "level without topology below": (
        {
            "subGroups": [
                LEAF,
                {**LEAF, "name": "b", "topologyConstraint": {"preferredTopologyLevel": "rack"}},
            ]
        },
        "spec.subGroups[1].topologyConstraint.topology",
    ),
    "duplicate names": ({"subGroups": [LEAF, LEAF]}, "spec.subGroups[1].name"),
    "missing parent": ({"subGroups": [{**LEAF, "parent": "nobody"}]}, "spec.subGroups[0].parent"),
    "own parent": ({"subGroups": [{**LEAF, "parent": "leaf"}]}, "spec.subGroups[0].parent"),
    "cycle": (
        {"subGroups": [LEAF, {"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}]},
        "spec.subGroups[1].parent",
    ),
    "leaf with children's minimum": (
        {"subGroups": [{"name": "a", "minSubGroup": 1}]},
        "spec.subGroups[0].minSubGroup",
    ),
    "leaf without minimum": ({"subGroups": [{"name": "a"}]}, "spec.subGroups[0].minMember"),
    "parent with pods' minimum": (
        {"subGroups": [{"name": "a", "minMember": 1}, {**LEAF, "parent": "a"}]},
        "spec.subGroups[0].minMember",
    ),
    "both minima below": (
        {"subGroups": [{**LEAF, "minSubGroup": 1}]},
        "spec.subGroups[0].minSubGroup",
    ),
    "negative minimum below": (
        {"subGroups": [{"name": "a", "minMember": -1}]},
        "spec.subGroups[0].minMember",
    ),
}


@pytest.mark.parametrize(("spec", "path"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_contradiction_is_a_problem_naming_the_path(spec: dict[str, Any], path: str) -> None:
    assert read(**spec).problem.startswith(f"{path}: ")


def test_a_tree_with_unsaid_minimum_of_children_is_fine() -> None:
    tree = [{"name": "a"}, {"name": "b", "parent": "a"}, {**LEAF, "parent": "b"}]

    assert read(subGroups=tree).problem == ""


def chain_of(levels: int) -> list[dict[str, Any]]:
    names = [f"s{index}" for index in range(levels)]
    chain: list[dict[str, Any]] = [
        {"name": name, "parent": above} for name, above in itertools.pairwise(names)
    ]
    return [{**(chain[0] if chain else {"name": "s0"}), "minMember": 1}, *chain[1:], {"name": names[-1]}]


def test_subgroups_may_lie_sixteen_levels_deep_and_no_deeper() -> None:
    assert read(subGroups=chain_of(16)).problem == ""
    for levels in (17, 400, 999):
        problem = read(subGroups=chain_of(levels)).problem
        assert "].parent: lies deeper than the 16 levels" in problem


def test_more_than_a_thousand_subgroups_are_refused_by_name_of_the_limit() -> None:
    raw = a_pod_group_document(subGroups=[{"name": f"s{index}", "minMember": 1} for index in range(1001)])

    assert str(translate_pod_group(raw, PRIORITIES)) == (
        "PodGroup team/pg: spec.subGroups: has 1001 entries, more than the 1000 that are read"
    )


def test_a_long_cycle_is_told_by_its_beginning() -> None:
    ring = [{"name": f"s{index}", "parent": f"s{(index + 1) % 900}"} for index in range(900)]

    assert len(read(subGroups=ring).problem) < 200


def test_a_queue_that_no_queue_can_be_called_is_told_harmlessly() -> None:
    assert read(queue="q\x1b[2J\nx").queue == r"q\x1b[2J\nx"
    assert len(read(queue="q" * 100_000).queue) <= 320


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"minMember": "2"}, "spec.minMember"),
        ({"subGroups": [{"minMember": 1}]}, "spec.subGroups[0].name"),
        ({"subGroups": {}}, "spec.subGroups"),
        ({"stalenessGracePeriod": "soon"}, "spec.stalenessGracePeriod"),
    ],
)
def test_a_wrong_type_makes_only_this_group_unreadable(spec: dict[str, Any], field: str) -> None:
    group = translate_pod_group(a_pod_group_document(**spec), PRIORITIES)

    assert isinstance(group, Unreadable)
    assert (group.key, group.field) == ("team/pg", field)
