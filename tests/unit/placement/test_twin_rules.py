"""The judge reads every field of a pod by code of its own: on each row it allows the same nodes as the engine's rules."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from kai_sched.model.plan import Plan, VolumePlacement
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.checker import ViolationKind, check_plan
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.static import StaticFacts, static_mask
from kai_sched.placement.rules.volumes import VolumesView
from tests.builders import a_group, a_pod, a_snapshot
from tests.unit.placement.field_rows_of_nodes import ROWS_OF_NODES
from tests.unit.placement.field_rows_of_volumes import ROWS_OF_VOLUMES
from tests.unit.placement.plans import a_placement, a_plan

ROWS = [*ROWS_OF_NODES, *ROWS_OF_VOLUMES]
RULES = {ViolationKind.STATIC_RULE, ViolationKind.DYNAMIC_RULE}


def both(row, spec):
    """The nodes that engine and judge allow."""
    pod = a_pod("new", spec)
    snapshot = a_snapshot(
        nodes=row.nodes, pods=(*row.pods, pod), groups=[a_group("new")], **(row.world or {})
    )
    table = NodeTable.build(snapshot.fleet)
    dynamic, view = DynamicRules.of(table, snapshot), VolumesView.of(snapshot)
    mask = static_mask(table, StaticFacts.of(snapshot, row.policy), spec).allowed
    others = dynamic.mask(spec)
    mask = mask if others is None else mask & others
    engine = {table.nodes[index].name for index in np.flatnonzero(mask)}
    judge = set()
    for index, node in enumerate(table.nodes):
        chosen = view.choose(table, view.unbound_claims(spec), index)
        volumes = tuple(
            VolumePlacement(claim=claim.key, uid=claim.uid, volume=chosen[claim.key].volume)
            for claim in view.unbound_claims(spec)
        )
        plan: Plan = a_plan([a_placement(pod, node.name, volumes=volumes)])
        found = [one for one in check_plan(snapshot, row.policy, plan) if one.kind in RULES]
        if not found:
            judge.add(node.name)
    return engine, judge


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_engine_and_judge_allow_the_same_nodes(row):
    engine, judge = both(row, row.spec)
    assert judge == engine

    default = {field.name: field.default for field in fields(PodSpec)}
    without = row.without or replace(row.spec, **{row.field: default[row.field]})
    engine, judge = both(row, without)
    assert judge == engine
