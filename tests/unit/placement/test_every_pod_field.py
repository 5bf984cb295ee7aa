"""Every field of a pod that decides where it may run, one row each.

A row says which nodes the pod may use. Each row is also run without its field: then the pod must be allowed more,
so a rule that is taken out cannot go unnoticed.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.static import StaticFacts, static_mask
from tests.builders import a_pod, a_snapshot
from tests.unit.placement.field_rows_of_nodes import ROWS_OF_NODES
from tests.unit.placement.field_rows_of_volumes import ROWS_OF_VOLUMES

ROWS = [*ROWS_OF_NODES, *ROWS_OF_VOLUMES]


def allowed_nodes(row, spec):
    """Names of the nodes that static and dynamic rules allow, and the rules that took the others."""
    snapshot = a_snapshot(nodes=row.nodes, pods=(*row.pods, a_pod("new", spec)), **(row.world or {}))
    table = NodeTable.build(snapshot.fleet)
    static = static_mask(table, StaticFacts.of(snapshot, row.policy), spec)
    dynamic = DynamicRules.of(table, snapshot)
    mask = dynamic.mask(spec)
    allowed = static.allowed if mask is None else static.allowed & mask
    eliminations = (*static.eliminated, *dynamic.eliminations(spec, static.allowed))
    assert sum(each.count for each in eliminations) == len(table) - int(allowed.sum())
    return " ".join(table.nodes[index].name for index in np.flatnonzero(allowed)), {
        each.rule for each in eliminations
    }


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_field_is_honoured(row):
    allowed, rules = allowed_nodes(row, row.spec)
    assert allowed == row.allowed
    assert row.rule in rules


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_without_the_field_other_nodes_are_allowed(row):
    default = {field.name: field.default for field in fields(PodSpec)}
    without = row.without or replace(row.spec, **{row.field: default[row.field]})
    allowed, _ = allowed_nodes(row, without)
    assert allowed == row.without_allowed
    assert allowed != row.allowed


# Fields that no node rule reads, and where they are honoured.
ELSEWHERE = {
    "namespace": "part of every rule above that speaks of pods or claims",
    "labels": "read by the affinity and spread rows",
    "gpu_share": "counted by the engines",
    "extended": "its sums are requests; which claim is made for it: tests of extended resources",
    "preferred_node_affinity": "a preference: tests of soft scores",
    "unsupported": "a verdict, not a node rule",
}


def test_every_field_of_a_pod_spec_has_a_row():
    assert {row.field for row in ROWS} | set(ELSEWHERE) == {field.name for field in fields(PodSpec)}
